"""Training pico: every stage learns on a tiny model, and packing changes nothing."""

from __future__ import annotations

import copy
import math
import sys

import pytest
import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration

from explorer.pico.architecture import GRID, PATCHES, ModelSize, as_pixels, build, normalised
from explorer.pico.data.scenes import Thing
from explorer.pico.data.vocabulary import BACKGROUND, CLASS, TOKEN, WORDS
from explorer.pico.training import (
    export,
    packing,
    run,
    stage1_tower,
    stage2_alignment,
    stage3_language,
    stage4_pointing,
    stage6_sharpening,
)
from explorer.pico.training.dataset import Pictures, covered_patches
from explorer.pico.training.loop import TrainingPlan, rate_at

PICTURES = Pictures(seed=5)
TINY = ModelSize(
    vision_width=32,
    vision_mlp=32,
    vision_layers=2,
    vision_heads=2,
    width=32,
    mlp=32,
    layers=8,
    heads=4,
)


@pytest.fixture
def model() -> LlavaForConditionalGeneration:
    torch.manual_seed(0)
    return build(TINY).eval()


@pytest.fixture
def packed() -> packing.Packed:
    return stage3_language.collate(
        [stage3_language.example(PICTURES, number) for number in range(2)]
    )


def test_the_real_shape_is_that_of_the_shipped_weights():
    with torch.device("meta"):
        made = build()
    assert sum(weight.numel() for weight in made.parameters()) == 9_650_112


def test_every_stage_learns_what_it_should_and_leaves_the_rest(model, tmp_path, capsys):
    for stage in run.STAGES:
        before = copy.deepcopy(dict(model.named_parameters()))
        losses = run.run(model, [stage], PICTURES, steps=2, batch=1, into=tmp_path)[stage]
        assert len(losses) == 2 and all(map(math.isfinite, losses))
        assert f"{stage} 2/2 loss" in capsys.readouterr().out
        assert (tmp_path / stage / "model.safetensors").is_file()
        changed = {
            name.removeprefix("model.").split(".")[0]
            for name, weight in model.named_parameters()
            if not torch.equal(weight, before[name])
        }
        embeddings = torch.equal(
            model.get_input_embeddings().weight,
            before["model.language_model.embed_tokens.weight"],
        )
        language_side = {"multi_modal_projector", "language_model"}
        of_tower = stage in ("tower", "sharpening")
        assert changed == ({"vision_tower"} if of_tower else language_side)
        assert embeddings == of_tower


def test_the_same_seed_gives_the_same_weights():
    def trained() -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        model = build(TINY)
        run.run(model, ["align", "questions"], PICTURES, steps=1, batch=1)
        return model.state_dict()

    first, second = trained(), trained()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_workers_change_neither_pictures_nor_their_order():
    alone = PICTURES.batches(stage1_tower.example, steps=3, batch=2)
    helped = Pictures(seed=5, workers=2).batches(stage1_tower.example, steps=3, batch=2)
    for mine, theirs in zip(alone, helped, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@torch.no_grad()
def test_a_packed_question_is_read_as_if_it_were_asked_alone(model, packed):
    stage3_language.start_matching(model)
    together = packing.read(model, packed)
    number = 0
    for row, (pixels, questions) in enumerate(
        stage3_language.example(PICTURES, n) for n in range(2)
    ):
        for question in questions[:5]:
            span = packed.spans[number + questions.index(question)]
            alone = packing.pack([pixels], [[question]])
            single = packing.read(model, alone)
            (only,) = alone.spans
            here = together[row, span.first : span.stop]
            assert span.row == row
            assert (here - single[0, only.first : only.stop]).abs().max() < 1e-4
            assert torch.equal(
                packed.targets[row, span.first : span.stop],
                alone.targets[0, only.first : only.stop],
            )
        number += len(questions)


@torch.no_grad()
def test_reading_a_packed_row_is_the_models_own_forward(model):
    pixels, (question, *_) = stage3_language.example(PICTURES, 4)
    packed = packing.pack([pixels], [[question]])
    hidden = packing.read(model, packed)
    own = model(input_ids=packed.ids, pixel_values=normalised(pixels[None]))
    assert (model.lm_head(hidden) - own.logits).abs().max() < 1e-4


def test_targets_are_the_answer_and_the_end(packed):
    _, questions = stage3_language.example(PICTURES, 0)
    for span, question in zip(packed.spans, questions, strict=False):
        told = packed.targets[span.row, span.first : span.stop].tolist()
        assert [WORDS[token] for token in told] == [*question.answer.split(), "</s>"]
        assert packed.ids[span.row, span.first] == TOKEN[":"]


def test_a_thing_labels_the_patches_under_it():
    owl = Thing("object", "owl", None, 0, (0, 0, 32, 16))
    sign = Thing("word", "stop", None, 8, (208, 210, 224, 224))
    classes = stage1_tower.patch_classes((owl, sign)).view(GRID, GRID)
    assert classes[0, :2].tolist() == [CLASS["owl"]] * 2
    assert classes[13, 13] == CLASS["word stop"]
    assert (classes == CLASS[BACKGROUND]).sum() == PATCHES - 3
    assert covered_patches((owl, sign)).nonzero().flatten().tolist() == [0, 1, PATCHES - 1]
    assert stage1_tower.presence((owl, sign)).sum() == 2


def test_a_visual_token_is_to_lie_near_its_name_and_its_place():
    words, places = stage2_alignment.words_of_classes(), stage2_alignment.words_of_patches()
    assert torch.allclose(words.sum(1), torch.ones(len(words)))
    assert torch.allclose(places.sum(1), torch.ones(PATCHES))
    owl = words[CLASS["owl"]]
    assert owl[TOKEN["owl"]] > owl[TOKEN["animal"]] > 0
    assert words[CLASS["red circle"], TOKEN["red"]] == words[CLASS["word stop"], TOKEN["sign"]]
    assert places[0, TOKEN["top"]] == places[0, TOKEN["left"]] == 0.5
    assert places[7 * GRID + 7, TOKEN["middle"]] == 1


@torch.no_grad()
def test_a_matching_head_looks_for_the_same_content(model):
    stage3_language.start_matching(model, layers=[2], head=1)
    attention = model.model.language_model.layers[2].self_attn
    states = torch.randn(200, 32)
    states = states / states.square().mean(-1, keepdim=True).sqrt()
    rows = slice(8, 16)
    queries, keys = (states @ p.weight[rows].T for p in (attention.q_proj, attention.k_proj))
    logits = queries @ keys.T * attention.scaling
    same = logits.diagonal().mean()
    assert same == pytest.approx(stage3_language.MATCH_LOGIT, rel=0.15)
    assert logits.mean().abs() < 0.3


@torch.no_grad()
def test_pointing_reads_the_attention_that_the_model_pays(packed):
    torch.manual_seed(0)
    model = build(TINY).eval()
    stage3_language.start_matching(model)
    model.set_attn_implementation("eager")
    packed.mask = torch.where(packed.mask, 0.0, torch.finfo(torch.float32).min)
    with stage4_pointing.inputs_of(model, [3]) as states:
        paid = []
        module = model.model.language_model.layers[3].self_attn
        handle = module.register_forward_hook(lambda _m, _a, output: paid.append(output[1]))
        packing.read(model, packed)
        handle.remove()
    span = packed.spans[4]
    found = stage4_pointing.patch_attention(model, 3, states[3], packed.positions, [span], head=0)
    wanted = paid[0][span.row, 0, span.first, 1 : 1 + PATCHES]
    assert (found[0] - wanted / wanted.sum()).abs().max() < 1e-5
    assert found.std() > 1e-4


def test_pointing_is_rewarded_where_the_thing_is_and_fades_out():
    marked = torch.zeros(1, PATCHES)
    marked[0, :4] = 1
    right, wrong = marked / 4, (1 - marked) / (PATCHES - 4)
    assert (
        stage4_pointing.pointing_loss(right, marked)
        < 1e-6
        < stage4_pointing.pointing_loss(wrong, marked)
    )
    assert stage4_pointing.weight_at(0) == stage4_pointing.WEIGHT
    assert stage4_pointing.weight_at(0.65) == pytest.approx(stage4_pointing.WEIGHT / 2)
    assert stage4_pointing.weight_at(0.9) == 0


def test_a_sharpened_patch_may_change_where_it_was_wrong_and_not_where_it_was_right():
    torch.manual_seed(0)
    before = torch.randn(2, PATCHES, 8)
    right = torch.rand(2, PATCHES) < 0.5
    moved = before + (~right)[..., None] * torch.randn(2, PATCHES, 8)
    assert stage6_sharpening.keeping_loss(before, before, right) == 0
    assert stage6_sharpening.keeping_loss(moved, before, right) == 0
    # Whoever swaps every patch for another one is two variances away.
    other = torch.randn(2, PATCHES, 8)
    far = stage6_sharpening.keeping_loss(other, before, right)
    assert far.item() == pytest.approx(2, rel=0.1)
    nothing = torch.zeros_like(right)
    assert stage6_sharpening.keeping_loss(other, before, nothing) == 0


def test_sharpening_sees_more_signs_than_the_first_stage():
    def signs(stage) -> int:
        drawn = [stage.example(PICTURES, number)[1] for number in range(40)]
        words = torch.tensor([number for name, number in CLASS.items() if name.startswith("word ")])
        return int(torch.isin(torch.stack(drawn), words).sum())

    assert signs(stage6_sharpening) > 1.3 * signs(stage1_tower)


def test_the_learning_rate_warms_up_and_falls():
    plan = TrainingPlan(steps=100, batch=1, rate=1.0, warm_up=10, floor=0.1)
    rates = [rate_at(step, plan) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == max(rates[8:12])
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_an_exported_model_loads_and_answers_the_same(model, tmp_path):
    export.save(model, tmp_path)
    assert all(file.stat().st_size < 10_000_000 for file in tmp_path.iterdir())
    loaded = LlavaForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.float32)
    assert torch.equal(
        loaded.get_input_embeddings().weight,
        model.get_input_embeddings().weight.bfloat16().float(),
    )
    processor = AutoProcessor.from_pretrained(tmp_path)
    scene, (_, questions) = PICTURES.scene(1), stage3_language.example(PICTURES, 1)
    prompt = processor.apply_chat_template(
        [
            {
                "role": "user",
                "content": [{"type": "image"}, {"type": "text", "text": questions[0].text}],
            }
        ],
        add_generation_prompt=True,
    )
    inputs = processor(
        images=scene.image, text=prompt, return_tensors="pt", add_special_tokens=False
    )
    ids = packing.PICTURE + packing.prompt_ids(questions[0].text)
    assert inputs["input_ids"][0].tolist() == ids
    pixels = normalised(as_pixels(scene.image))
    assert (inputs["pixel_values"][0] - pixels).abs().max() < 1e-5


def test_help_says_how_long_a_real_run_takes(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", "--help"])
    with pytest.raises(SystemExit):
        run.main()
    assert "3 hours" in capsys.readouterr().out
