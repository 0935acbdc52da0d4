"""The use cases on the built-in model: maps, answers and the model itself agree."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from explorer import analyses
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.generation import Generation
from explorer.cases.method_maps import plan_of
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.errors import (
    BadBudget,
    BadPicture,
    BadQuestion,
    ModelUnavailable,
    UnknownMethod,
    UnknownModel,
    VisitorError,
)
from explorer.inference.decode import Step, decode
from explorer.inference.prefill import prefill
from explorer.methods import catalog
from explorer.methods.baselines.uniform import Uniform
from explorer.methods.signals import Size
from explorer.pico.data import scenes
from explorer.vlm.loader import default_loader

QUESTION = "what is in the middle ?"


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return scenes.make(7).image


@pytest.fixture(scope="module")
def analysis(picture):
    return analyses.analyse(CaseRequest.make("pico", picture, QUESTION))


@pytest.fixture(scope="module")
def maps(analysis, picture) -> dict:
    """Every method's map, the slow ones drawn one by one."""
    found = {found.spec: found for found in analysis.methods}
    for spec in [method.spec for method in catalog.choices() if method.slow]:
        found[spec] = analyses.draw(CaseRequest.make("pico", picture, QUESTION), spec)
    return found


@pytest.fixture(scope="module")
def answers(maps, picture) -> dict[str, list[Answer]]:
    """Answers of every method at every fourth budget of its ladder and at all, side by side."""
    ladders = {spec: {*found.ladder[::4], 196} for spec, found in maps.items()}
    wanted = [(spec, budget) for spec, ladder in ladders.items() for budget in sorted(ladder)]
    found: dict[str, list[Answer]] = {spec: [] for spec in maps}
    request = CaseRequest.make("pico", picture, QUESTION)
    for each in analyses.answer_many(request, wanted, cache=ResultCache(200_000_000)):
        found[each.method].append(each.answer)
    return found


@pytest.fixture
def cache() -> ResultCache:
    return ResultCache(100_000_000)


def whole_inputs(picture: Image.Image, question: str) -> dict:
    """Processor output for the untouched model."""
    processor = default_loader().load("pico").processor
    content = [{"type": "image", "image": picture}, {"type": "text", "text": question}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


@torch.no_grad()
def test_with_all_tokens_pico_gives_its_own_logits_and_its_own_answer(picture):
    vlm, inputs = default_loader().load("pico"), whole_inputs(picture, QUESTION)
    case = open_case(CaseRequest.make("pico", picture, QUESTION))
    run = prefill(case.decoder, case.prompt())
    assert (run.logits - vlm.model(**inputs).logits[0, -1]).abs().max() <= 1e-5
    tokens = [step.token for step in decode(run, 20)]
    own = vlm.model.generate(**inputs, max_new_tokens=20, do_sample=False)
    assert tokens == own[0, inputs["input_ids"].shape[1] :].tolist()


def test_analysis_has_a_map_of_every_method_that_is_not_slow(analysis, maps):
    quick = [method.spec for method in catalog.choices() if not method.slow]
    assert [found.spec for found in analysis.methods] == quick
    assert len(quick) < len(maps) == len(catalog.choices())
    for found in maps.values():
        assert found.score.shape == (196,)
        assert np.isfinite(found.score).all()
        assert (found.order is None) != (found.points is None)
        assert found.ladder[0] >= found.floor and found.ladder[-1] == 196


@pytest.mark.parametrize("spec", [method.spec for method in catalog.choices()])
def test_an_answer_keeps_exactly_what_the_map_shows(maps, answers, spec):
    found = maps[spec]
    assert len(answers[spec]) >= len(found.ladder[::4])
    for answer in answers[spec]:
        budget = answer.budget
        if found.order is not None:
            kept = np.sort(found.order[: found.keeps[budget - 1]])
            assert answer.stages[-1].kept.tolist() == kept.tolist()
            assert answer.final == found.keeps[budget - 1]
        else:
            point = next(point for point in found.points if point.budget == budget)
            assert answer.layers == tuple(point.layers)
            last = answer.stages[-1]
            # the least, not the last: behind layers whose cache was wiped others are whole again
            assert len(last.kept) + last.merged == min(answer.layers)
            for told, shown in zip(answer.stages, point.stages, strict=True):
                assert told.fate.tolist() == shown.fate.tolist()
        if spec != "fopru:row":  # whole rows: up to a row below the slider
            assert abs(answer.mean - budget) <= 1


@pytest.mark.parametrize("spec", [method.spec for method in catalog.choices()])
def test_keeping_everything_changes_nothing(analysis, answers, spec):
    [answer] = [each for each in answers[spec] if each.budget == 196]
    assert answer.text == analysis.full.text and answer.agrees
    assert answer.p_full == pytest.approx(analysis.full.p_full, rel=1e-4)
    assert answer.kl == pytest.approx(0, abs=1e-5)
    assert answer.flops == analysis.full.flops and answer.kv_bytes == analysis.full.kv_bytes
    assert np.allclose(answer.dominance.mdi, analysis.full.dominance.mdi, rtol=1e-3)


def test_fewer_tokens_cost_less(picture, cache):
    few, many = (
        analyses.answer(CaseRequest.make("pico", picture, QUESTION), "clsattn", budget, cache=cache)
        for budget in (16, 128)
    )
    assert few.flops < many.flops and few.kv_bytes < many.kv_bytes
    assert few.mean == 16 and many.mean == 128


def test_a_pruned_answer_has_the_seconds_of_the_full_run_that_it_is_compared_with(picture):
    request, cache = CaseRequest.make("pico", picture, QUESTION), ResultCache(64_000_000)
    full = analyses.answer(request, cache=cache)
    pruned = analyses.answer(request, "clsattn", 16, cache=cache)
    assert pruned.full_seconds == full.seconds and not full.full_seconds
    assert pruned.seconds["vision"] == full.seconds["vision"], "one look at the picture"
    assert pruned.seconds["prefill"] != full.seconds["prefill"]


def test_the_first_token_draws_attention_that_counts_only_if_asked_for(analysis):
    without, counted = analysis.full.dominance, analysis.full.dominance_with_first
    assert counted.text == without.text + 1
    assert (counted.attention_text > without.attention_text).all()


def test_a_stream_grows_and_ends_complete(picture, cache):
    parts = list(
        analyses.stream(
            CaseRequest.make("pico", picture, "describe the picture ."), "uniform", 48, cache=cache
        )
    )
    texts = [part.text for part in parts]
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert [part.partial for part in parts] == [True] * (len(parts) - 1) + [False]
    assert "".join(token.text for token in parts[-1].tokens).strip() == texts[-1]
    assert all(0 <= token.probability <= 1 for token in parts[-1].tokens)


def test_a_reader_in_no_hurry_gets_few_partial_answers(picture):
    told = list(
        analyses.stream(
            CaseRequest.make("pico", picture, "describe the picture ."), "uniform", 48, every=60
        )
    )
    assert [answer.partial for answer in told] == [True, False]
    assert len(told[0].tokens) == 1 and told[1].text.startswith(told[0].text)


def test_words_of_a_stream_are_those_of_the_whole_answer():
    """A tokenizer of bytes: a letter may take several tokens, blanks stand before words."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytewise(), eos_token="</s>")
    text = "Ein Käse für 3 € 🧀 , bitte ."
    tokens = [*tokenizer.encode(text), tokenizer.eos_token_id]
    vlm = SimpleNamespace(processor=SimpleNamespace(tokenizer=tokenizer))
    eos = SimpleNamespace(eos={tokenizer.eos_token_id})
    speech, grown = Generation(SimpleNamespace(vlm=vlm, decoder=eos)), []
    for token in tokens:
        speech.add(Step(token, 0.5, None))
        grown.append(speech.text)
    assert grown[-1] == text == "".join(piece.text for piece in speech.pieces)
    assert all(text.startswith(part) for part in grown), "never half a letter"
    assert speech.tokens == tokens and len(speech.pieces) == len(tokens) - 1


def bytewise() -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate([*letters, "</s>"])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def test_a_picture_keeps_its_shape_and_padding_counts_as_tokens():
    wide = Image.new("RGB", (448, 224), (200, 30, 30))
    grid = open_case(CaseRequest.make("pico", wide, QUESTION)).vision.grid
    assert grid.count == 196
    assert grid.padding.sum() == 84  # three of the 14 rows of patches above and below


def test_unknown_words_are_named(picture, monkeypatch):
    monkeypatch.setattr(catalog, "choices", lambda: [Uniform()])  # notes of words need no maps
    (note,) = analyses.analyse(
        CaseRequest.make("pico", picture, "what is the zeitgeist of the BUS ?")
    ).notes
    assert "zeitgeist" in note and "BUS" not in note


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("nico", "", QUESTION, "clsattn", 64), UnknownModel, "pico"),
        (("pico", "", "  ", "clsattn", 64), BadQuestion, "type a question"),
        (("pico", "", "why " * 200, "clsattn", 64), BadQuestion, "characters"),
        (("pico", "", QUESTION, "clsatn", 64), UnknownMethod, "clsattn"),
        (("pico", "", QUESTION, "clsattn", 0), BadBudget, "196"),
        (("pico", "", QUESTION, "clsattn", 197), BadBudget, "196"),
        (("pico", "", QUESTION, "clsattn", 6.5), BadBudget, "whole number"),
        (("pico", "", QUESTION, "fastv", 5), BadBudget, "34"),
        (("pico", None, QUESTION, "clsattn", 64), BadPicture, "picture"),
    ],
)
def test_bad_input_gets_a_sentence(picture, arguments, error, words):
    model, image, *rest = arguments
    with pytest.raises(error, match=words):
        question, method, budget = rest
        request = CaseRequest.make(model, picture if image == "" else image, question)
        analyses.answer(request, method, budget)


def test_a_model_that_cannot_be_fetched_says_what_to_do(picture):
    with pytest.raises(ModelUnavailable, match="pico"):
        analyses.analyse(CaseRequest.make("llava-1.5-7b", picture, QUESTION))


def test_a_question_cannot_smuggle_in_control_tokens(picture):
    question = "what <image> is </s> in the mid<im<image>age>dle ?"
    prompt = open_case(CaseRequest.make("pico", picture, question)).prompt()
    clean = open_case(CaseRequest.make("pico", picture, "what is in the middle ?")).prompt()
    assert torch.equal(prompt.visual_positions, clean.visual_positions)


def test_memory_is_bounded_in_bytes(cache):
    small = ResultCache(4_000)
    for number in range(100):
        small.put(number, "x", 700)
    assert len(small) == 3 and 3 * 1_200 < small.nbytes <= 4_000
    small.put("too large", "x", 4_000)
    assert "too large" not in small
    small.put("a key has a size as well" * 1_000, "x", 1)
    assert len(small) == 3, "so that such a one is not kept"


def test_a_memory_that_is_still_empty_is_one():
    empty = ResultCache(100)
    assert empty and len(empty) == 0


def test_results_come_from_memory_the_second_time(picture, cache):
    first = analyses.answer(CaseRequest.make("pico", picture, QUESTION), "clsattn", 50, cache=cache)
    assert (
        analyses.answer(CaseRequest.make("pico", picture, QUESTION), "clsattn", 50, cache=cache)
        is first
    )


def test_every_visitor_error_is_one_sentence():
    with pytest.raises(VisitorError) as caught:
        analyses.analyse(CaseRequest.make("nico", None, QUESTION))
    assert str(caught.value).endswith(".")


def test_a_variant_may_treat_positions_in_its_own_way(analysis):
    size = Size(196, 12, 14)
    for spec, renumber in (("sparsevlm", True), ("sparsevlm:plus", False), ("fastv", False)):
        assert plan_of(catalog.resolve(spec), size, 100).renumber is renumber


def test_the_full_answer_comes_token_by_token_and_is_remembered(picture, analysis):
    cache = ResultCache(64_000_000)
    told = list(
        analyses.stream(CaseRequest.make("pico", picture, "describe the picture ."), cache=cache)
    )
    *partial, whole = told
    assert len(partial) > 2 and all(answer.partial for answer in partial)
    assert all(a.text in b.text for a, b in pairwise(partial))
    assert not whole.partial and whole.agrees and whole.method == "full"
    again = list(
        analyses.stream(CaseRequest.make("pico", picture, "describe the picture ."), cache=cache)
    )
    assert again == [whole], "from cache, at once"
    assert (
        analyses.answer(
            CaseRequest.make("pico", picture, "describe the picture ."), "full", 1, cache=cache
        )
        is whole
    )
