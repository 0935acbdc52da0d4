"""All methods at one budget: sets, matrices, chance, and answers that equal single ones."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from explorer import analyses
from explorer.analyses import comparison, overview
from explorer.cases import scheduler
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.method_maps import map_of
from explorer.cases.records import Answer, Token
from explorer.cases.request import CaseRequest
from explorer.errors import BadBudget, BadQuestion, MethodUnavailable, UnknownMethod
from explorer.methods import catalog
from explorer.methods.chance import chance_of, draws_of
from explorer.pico.data import scenes

QUESTION = "what is in the middle ?"
FEW = ["clsattn", "visionzip", "fastv", "fopru:row"]
BUDGET = 48


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return scenes.make(7).image


@pytest.fixture(scope="module")
def cache() -> ResultCache:
    return ResultCache(100_000_000)


@pytest.fixture(scope="module")
def found(picture, cache):
    return analyses.compare(CaseRequest.make("pico", picture, QUESTION), BUDGET, FEW, cache=cache)


def test_baselines_are_always_among_the_methods(found):
    assert [each.method for each in found.methods] == ["random", "uniform", "pool", *FEW]


def test_every_answer_is_the_one_a_single_run_gives(found, picture):
    for each in found.methods[::2]:
        alone = analyses.answer(
            CaseRequest.make("pico", picture, QUESTION), each.method, each.budget
        )
        assert each.answer.text == alone.text
        assert each.answer.agrees == alone.agrees
        assert each.answer.log_prob_loss == pytest.approx(alone.log_prob_loss, abs=1e-3)
        assert each.answer.layers == alone.layers
        assert each.kept.tolist() == alone.stages[-1].kept.tolist()
        assert np.allclose(each.answer.dominance.mdi, alone.dominance.mdi, rtol=1e-3)


def test_what_is_remembered_is_told_first_and_not_computed_again(picture, found, cache):
    wanted = [("divprune", 50), ("clsattn", BUDGET), ("uniform", 50), ("random", BUDGET)]
    told = list(
        scheduler.answer_many(CaseRequest.make("pico", picture, QUESTION), wanted, cache=cache)
    )
    assert [each.cached for each in told] == [True, True, False, False]
    assert {each.method for each in told[:2]} == {"clsattn", "random"}
    clsattn = next(each for each in found.methods if each.method == "clsattn")
    assert next(t for t in told if t.method == "clsattn").answer is clsattn.answer
    again = scheduler.cached_answers(
        CaseRequest.make("pico", picture, QUESTION), [*wanted, ("pool", 3)], cache
    )
    assert [each.method for each in again] == [spec for spec, _ in wanted]


def test_a_method_whose_floor_is_above_the_budget_is_marked_and_not_hidden(picture, cache):
    low = analyses.compare(
        CaseRequest.make("pico", picture, QUESTION), 8, ["fastv", "clsattn"], cache=cache
    )
    by_name = {each.method: each for each in low.methods}
    size = open_case(CaseRequest.make("pico", picture, QUESTION)).size
    assert not by_name["fastv"].reached
    assert by_name["fastv"].budget == catalog.resolve("fastv").floor(size) > 8
    assert by_name["fastv"].answer.mean == pytest.approx(by_name["fastv"].budget, abs=1)
    assert by_name["clsattn"].reached and by_name["clsattn"].budget == 8


def test_everything_kept_is_agreement_of_everybody(picture, cache):
    whole = analyses.compare(
        CaseRequest.make("pico", picture, QUESTION), 196, ["clsattn", "fastv"], cache=cache
    )
    assert all(each.answer.agrees for each in whole.methods)
    assert np.nanmin(whole.jaccard) == 1
    assert whole.keep_counts.tolist() == [2] * 196
    assert whole.random.same == 1 and whole.random.spread == pytest.approx(0, abs=1e-4)
    assert not any(each.worse for each in whole.methods)


def test_matrices_are_those_of_single_pairs(found):
    kept = [each.kept for each in found.methods]
    for i, ours in enumerate(kept):
        for j, theirs in enumerate(kept):
            if len(ours) and len(theirs):
                both, either = np.intersect1d(ours, theirs), np.union1d(ours, theirs)
                assert found.jaccard[i, j] == pytest.approx(len(both) / len(either))
            else:
                assert math.isnan(found.jaccard[i, j])
    assert np.array_equal(found.spearman, found.spearman.T, equal_nan=True)
    pool = [each.method for each in found.methods].index("pool")
    assert np.isnan(found.spearman[pool]).all(), "it scores all patches alike"
    assert not len(kept[pool]), "it keeps no patch as it was"


def test_disputed_patches_are_counted_without_the_baselines(found):
    kept = [set(e.kept.tolist()) for e in found.methods if e.method not in comparison.BASELINES]
    assert found.keep_counts.tolist() == [sum(t in k for k in kept) for t in range(found.tokens)]


def test_random_is_several_draws_with_mean_and_spread(found, picture):
    assert len(comparison.DRAWS) == len(found.random.draws) >= 5
    likely = [answer.p_full for answer in found.random.draws]
    assert len(set(likely)) > 1, "every draw keeps other patches"
    assert found.random.likelihood == pytest.approx(sum(likely) / len(likely))
    mean = sum(likely) / len(likely)
    variance = sum((p - mean) ** 2 for p in likely) / (len(likely) - 1)
    assert found.random.spread == pytest.approx(math.sqrt(variance))
    assert found.random.same == sum(a.agrees for a in found.random.draws) / len(likely)


def test_every_method_is_measured_by_the_random_that_chooses_alone_apart_from_it(found):
    for each in found.methods:
        assert (each.random.method, each.random.budget) == (chance_of(each.method), each.budget)
        draws = draws_of(each.random.method)
        assert [answer.method for answer in each.random.draws] == list(draws)
        if each.method == "fastv":
            assert {answer.layers for answer in each.random.draws} == {each.answer.layers}
    by_name = {each.method: each.random for each in found.methods}
    assert by_name["clsattn"] is by_name["uniform"] is found.random
    assert by_name["fastv"].method == "random_inside"
    assert by_name["fastv"].likelihood != found.random.likelihood


def test_positions_that_are_kept_are_measured_by_kept_positions(picture, cache):
    named = ["clsattn?positions=keep", "gprune", "random?positions=keep"]
    low = analyses.compare(CaseRequest.make("pico", picture, QUESTION), BUDGET, named, cache=cache)
    *_, keeps, gprune, random = low.methods
    assert keeps.random is gprune.random is random.random is not low.random
    assert keeps.random.method == "random?positions=keep"
    assert keeps.random.likelihood != low.random.likelihood
    assert random.worse is None


def test_below_its_floor_a_method_is_measured_at_its_floor(picture, cache):
    low = analyses.compare(CaseRequest.make("pico", picture, QUESTION), 8, ["fastv"], cache=cache)
    fastv = low.methods[-1]
    assert fastv.random.budget == fastv.budget > 8
    assert low.random.budget == 8


def test_who_does_worse_than_random_is_told(found):
    for each in found.methods:
        if each.method == "random":
            assert each.worse is None
        else:
            lowest = min(answer.p_full for answer in each.random.draws)
            assert each.random.lowest == lowest
            assert each.worse is (f"{each.likelihood:.2f}" < f"{lowest:.2f}")


def test_worse_means_below_every_draw_at_the_digits_that_are_shown(found):
    random = replace(found.random, likelihood=0.7, lowest=0.42)
    assert comparison.is_worse(0.40, random)
    assert not comparison.is_worse(0.4199, random)
    assert not comparison.is_worse(0.5, random), "one draw in five does no better"
    assert not comparison.is_worse(0.9, random)


def test_a_long_answer_is_judged_per_token():
    words = tuple(Token("word", 0.5) for _ in range(19))
    full = Answer("full", 196, "", words, p_full=0.5**20)
    pruned = replace(full, method="clsattn", p_full=0.0, log_prob_loss=math.log(2))
    assert comparison.is_long(full)
    assert comparison.likelihood(full_run(full), full) == pytest.approx(0.5)
    assert comparison.likelihood(pruned, full) == pytest.approx(0.25)
    short = replace(full, tokens=words[:2], p_full=0.8)
    assert comparison.likelihood(replace(short, p_full=0.3), short) == 0.3


def full_run(full: Answer) -> Answer:
    return replace(full, log_prob_loss=0.0)


def test_stop_ends_a_comparison_between_two_steps(picture):
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 4

    wanted = [(spec, 40) for spec in comparison.DRAWS]
    told = list(
        scheduler.answer_many(
            CaseRequest.make("pico", picture, QUESTION), wanted, cache=None, stop=stop
        )
    )
    assert len(told) < len(wanted)


def test_a_wish_that_can_not_be_granted_gets_a_sentence_and_the_others_their_answer(picture):
    wanted = [("fastv", 3), ("nomethod", 40), ("clsattn", 0), ("clsattn", 40)]
    told = {
        (t.method, t.budget): t
        for t in scheduler.answer_many(CaseRequest.make("pico", picture, QUESTION), wanted)
    }
    assert "floor" in told["fastv", 3].error or "34" in told["fastv", 3].error
    assert "nomethod" in told["nomethod", 40].error
    assert "196" in told["clsattn", 0].error
    assert told["clsattn", 40].error is None and told["clsattn", 40].answer.text


def test_long_and_short_answers_end_where_they_end_alone(picture):
    question = "describe the picture ."
    wanted = [(spec, 24) for spec in ("uniform", "clsattn", "divprune", *comparison.DRAWS)]
    told = list(scheduler.answer_many(CaseRequest.make("pico", picture, question), wanted))
    assert sorted((t.method, t.budget) for t in told) == sorted(wanted)
    for each in told[:3]:
        alone = analyses.answer(
            CaseRequest.make("pico", picture, question), each.method, each.budget
        )
        assert each.answer.text == alone.text
        assert len(each.answer.tokens) == len(alone.tokens)
    assert all(math.isnan(each.answer.seconds["decode"]) for each in told), "shared by many rows"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((QUESTION, 0), BadBudget),
        ((QUESTION, 197), BadBudget),
        ((QUESTION, 6.5), BadBudget),
        (("  ", 40), BadQuestion),
        ((QUESTION, 40, ["nomethod"]), UnknownMethod),
        ((QUESTION, 40, ["fopru?strategy=nothing"]), UnknownMethod),
    ],
)
def test_bad_input_gets_a_sentence(picture, cache, arguments, error):
    with pytest.raises(error, match=r"\w.*\.$"):
        question, *rest = arguments
        analyses.compare(CaseRequest.make("pico", picture, question), *rest, cache=cache)


def test_settings_and_slow_methods_can_be_compared_by_name(picture, cache):
    named = ["random?seed=3", "relevance"]
    found = analyses.compare(
        CaseRequest.make("pico", picture, QUESTION), BUDGET, named, cache=cache
    )
    assert [each.method for each in found.methods][3:] == named
    assert all(each.answer is not None for each in found.methods)


def test_a_method_that_fails_in_company_takes_nobody_along(picture, monkeypatch):
    def can_not(*_, **__):
        raise MethodUnavailable("Not today.")

    monkeypatch.setattr(catalog.find("uniform"), "keep", can_not)
    wanted = [(spec, 40) for spec in ("random", "uniform", "clsattn")]
    told = {
        t.method: t
        for t in scheduler.answer_many(CaseRequest.make("pico", picture, QUESTION), wanted)
    }
    assert told["uniform"].error == "Not today."
    assert told["random"].answer.text and told["clsattn"].answer.text


def test_the_scores_that_are_compared_are_those_of_the_maps():
    request = CaseRequest.make("pico", scenes.make(3).image, "what is in the middle ?")
    cache = ResultCache(100_000_000)
    scored = analyses.score_all(request, cache=cache)
    whole = analyses.analyse(request)
    assert scored.full.text == whole.full.text and scored.notes == whole.notes
    for found, mapped in zip(scored.methods, whole.methods, strict=True):
        assert (found.spec, found.floor, found.ladder) == (mapped.spec, mapped.floor, mapped.ladder)
        assert np.array_equal(found.score, mapped.score), found.spec
        assert found.points is None and (mapped.order is None) == (found.order is None)
    whole = analyses.analyse(request, cache=cache)
    assert analyses.score_all(request, cache=cache) is whole


def test_what_is_looked_at_comes_whole_and_the_rest_is_drawn_when_all_is_asked_for(monkeypatch):
    request = CaseRequest.make("pico", scenes.make(4).image, "what is in the middle ?")
    cache, drawn = ResultCache(100_000_000), {}

    def watched(method, size, prefix, budgets):
        drawn[method.spec] = budgets
        return map_of(method, size, prefix, budgets)

    monkeypatch.setattr(overview, "map_of", watched)
    *_, first = analyses.unfold(request, methods=["visionzip"], cache=cache)
    late = {found.spec for found in first.methods if not found.is_whole}
    nested = {found.spec for found in first.methods if found.order is not None}
    assert late and late.isdisjoint(nested | {"visionzip"})
    drawn.clear()
    whole = analyses.analyse(request, cache=cache)
    assert drawn.keys() == late and all(found.is_whole for found in whole.methods)
    for found, mapped in zip(first.methods, whole.methods, strict=True):
        assert found.spec == mapped.spec and np.array_equal(found.score, mapped.score)
        assert found is mapped or found.spec in late
    full, known = analyses.unfold(request, methods=["visionzip"], cache=cache)
    assert (full, known) == (whole.full, whole)
    monkeypatch.setattr(
        overview, "map_of", lambda method, *how: drawn.update({method.spec: how[-1]})
    )
    monkeypatch.setattr(overview.gpu, "ON_ZEROGPU", True)
    *_, _ = analyses.unfold(request, methods=["visionzip"])
    assert len(drawn) == len(whole.methods) and all(drawn.values()), "a lent GPU comes once"
