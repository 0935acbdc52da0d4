"""The shipped weights load without a network, speak pico's words, and are measured correctly."""

from __future__ import annotations

import json
import random
import re

import pytest
import torch
from conftest import ROOT

from explorer.methods.similarity import divprune
from explorer.pico import architecture
from explorer.pico.data import questions, scenes
from explorer.pico.data.vocabulary import CLASSES, WORDS, encode
from explorer.pico.training import evaluate
from explorer.tools import evaluate as command

FOLDER = ROOT / "assets" / "pico"


@pytest.fixture(scope="module")
def pico():
    """The shipped model and its processor."""
    return evaluate.load()


def test_the_vocabulary_is_the_tokenizer_in_the_same_order(pico):
    _, processor = pico
    tokenizer = processor.tokenizer
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == list(WORDS)
    file = json.loads((FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
    assert len(file["model"]["vocab"]) == len(WORDS) == 392


def test_the_tokenizer_reads_words_as_encode_does(pico):
    _, processor = pico
    for question, answer in questions.truths(scenes.make(2)).items():
        for text in (question, answer):
            assert processor.tokenizer(text, add_special_tokens=False)["input_ids"] == encode(text)


def test_a_typed_question_and_its_normal_form_are_the_same_to_the_model(pico):
    _, processor = pico
    for typed in ("What is in the MIDDLE?", " where  is the owl?", "Is there a sign saying STOP ?"):
        normal = questions.normalise(typed)
        assert processor.tokenizer.encode(typed) == processor.tokenizer.encode(normal)


def test_the_weights_are_small_and_in_small_files(pico):
    model, _ = pico
    assert sum(weight.numel() for weight in model.parameters()) < 10_000_000
    assert model.config.text_config.vocab_size == len(WORDS)
    assert all(file.stat().st_size < 10_000_000 for file in FOLDER.iterdir())


def test_the_patch_classes_are_background_names_colored_shapes_and_signs():
    assert len(CLASSES) == len(set(CLASSES)) == 195
    assert CLASSES[0] == "bg"
    assert {"owl", "red circle", "word stop"} <= set(CLASSES)


def test_a_picture_becomes_196_visual_tokens_in_the_chat_template(pico):
    model, processor = pico
    inputs = ask_alone(processor, scenes.make(0).image, "what do you see ?")
    assert int((inputs["input_ids"] == model.config.image_token_index).sum()) == 196


def ask_alone(processor, image, question: str) -> dict[str, torch.Tensor]:
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    return processor(images=image, text=text, return_tensors="pt", add_special_tokens=False)


def test_questions_asked_together_are_answered_as_when_asked_alone(pico):
    model, processor = pico
    scene = scenes.make(4)
    asked = ["describe the picture .", "top ?", "what is in the middle ?", "is there an owl ?"]
    alone = []
    for question in asked:
        inputs = ask_alone(processor, scene.image, question)
        with torch.no_grad():
            out = model.generate(**inputs, max_new_tokens=evaluate.MAX_NEW_TOKENS, do_sample=False)
        told = out[0, inputs["input_ids"].shape[1] :]
        alone.append(processor.decode(told, skip_special_tokens=True).strip())
    assert evaluate.answers(model, processor, scene.image, asked) == alone
    assert len(set(alone)) > 1


def test_the_score_is_the_share_of_exact_answers(monkeypatch):
    seeds = range(6)
    truths = {scene.image.tobytes(): questions.truths(scene) for scene in map(scenes.make, seeds)}

    def right(_model, _processor, image, asked):
        return [truths[image.tobytes()][question] for question in asked]

    def right_but_for_the_first(*arguments):
        return ["nonsense", *right(*arguments)[1:]]

    monkeypatch.setattr(evaluate, "answers", right)
    assert evaluate.evaluate(None, None, seeds).overall == 1
    monkeypatch.setattr(evaluate, "answers", right_but_for_the_first)
    score = evaluate.evaluate(None, None, seeds, per_scene=4)
    assert score.asked.total() == 24
    assert score.overall == pytest.approx(3 / 4)


def test_evaluate_prints_a_column_per_kind_and_the_overall_share_last(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["evaluate", "--scenes", "2", "--questions", "3"])
    command.main()
    header, _, right, counts, last = capsys.readouterr().out.strip().splitlines()
    kinds = header.strip("| ").split(" | ")
    assert set(kinds[:-1]) <= set(questions.TEMPLATES) and kinds[-1] == "overall"
    asked = [int(number) for number in re.findall(r"\d+", counts)]
    assert sum(asked[:-1]) == asked[-1] == 6
    assert len(re.findall(r"\d\.\d\d", right)) == len(kinds)
    assert re.fullmatch(r"overall [01]\.\d{3}", last)


def test_answers_from_all_tokens_are_counted_as_when_they_are_generated(pico):
    model, processor = pico
    score, retention = evaluate.evaluate_dropped(model, processor, range(8), per_scene=3)
    assert score == evaluate.evaluate(model, processor, range(8), per_scene=3)
    assert score.overall < 1 and retention.answers == score.asked.total() == 24


def test_all_tokens_give_the_same_answers_and_few_tokens_others(pico, monkeypatch):
    monkeypatch.setattr(evaluate, "KEPT", [("random", 196), ("random", 1)])
    _, retention = evaluate.evaluate_dropped(*pico, range(8), per_scene=3)
    assert [retention.share("random", 196, counted) for counted in (False, True)] == [1, 1]
    assert all(retention.share("random", 1, counted) < 0.8 for counted in (False, True))
    assert "| random 196 | 1.000 | 1.000 |" in retention.table()


@torch.no_grad()
def test_orders_of_patches_are_those_of_the_tower_and_of_farthest_first(pico):
    model, _ = pico
    pixels = torch.stack([architecture.as_pixels(scenes.make(seed).image) for seed in (1, 2)])
    patches, _ = architecture.encode_images(model, pixels)
    found = evaluate.orders(model, pixels, patches, seeds=(1, 2))
    everything = torch.arange(architecture.PATCHES).expand(2, -1)
    assert all(torch.equal(order.sort(1).values, everything) for order in found.values())
    model.model.vision_tower.set_attn_implementation("eager")
    paid = model.model.vision_tower(architecture.normalised(pixels), output_attentions=True)
    model.model.vision_tower.set_attn_implementation("sdpa")
    wanted = paid.attentions[-2][:, :, 0, 1:].mean(1)
    assert (evaluate.cls_attention(model, pixels) - wanted).abs().max() < 1e-5
    tokens = model.model.multi_modal_projector(patches)
    for order, own in zip(found["farthest first"], tokens, strict=True):
        assert torch.equal(order, divprune.order(own))


def test_every_kind_of_question_has_a_column_and_comes_up():
    score = evaluate.Score()
    for seed in range(evaluate.FIRST_SEED, evaluate.FIRST_SEED + 40):
        for question in questions.sample(scenes.make(seed), random.Random(seed), 6):
            score.asked[question.kind] += 1
    assert set(score.asked) == set(evaluate.COLUMNS) == set(questions.TEMPLATES)
