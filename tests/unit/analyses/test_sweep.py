"""A sweep over budgets: K*, flips and areas by hand, answers that equal single ones, floors."""

from __future__ import annotations

import math

import pytest
from PIL import Image

from explorer import analyses
from explorer.analyses import comparison
from explorer.analyses.sweep import FIVE
from explorer.cases import method_maps
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.errors import BadBudget, BadQuestion, UnknownMethod
from explorer.methods import catalog
from explorer.metrics import budget_curve
from explorer.pico.data import scenes

QUESTION = "what is in the middle ?"
BUDGETS = [8, 64, 196]
CHOSEN = ["clsattn", "fastv"]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return scenes.make(7).image


@pytest.fixture(scope="module")
def cache() -> ResultCache:
    return ResultCache(100_000_000)


@pytest.fixture(scope="module")
def found(picture, cache):
    return analyses.sweep(CaseRequest.make("pico", picture, QUESTION), CHOSEN, BUDGETS, cache=cache)


@pytest.mark.parametrize(
    ("same", "safe", "flips"),
    [
        ([False, False, True, True], 16, 1),  # a clean break
        ([False, True, False, True], 32, 3),  # the answer comes back at 8 and goes again
        ([True, True, True, True], 4, 0),  # it never breaks
        ([True, True, True, False], None, 1),  # all tokens but the largest budget: no K*
        ([True, False, True, True], 16, 2),
    ],
)
def test_where_it_breaks_by_hand(same, safe, flips):
    assert budget_curve.k_star([4, 8, 16, 32], same) == safe
    assert budget_curve.n_flips(same) == flips


def test_the_area_counts_every_halving_alike():
    assert budget_curve.auc([4, 8, 16], [0.5, 0.5, 0.5]) == pytest.approx(0.5)
    # two halvings: a trapezoid of 0 and 1, and one of 1 and 1
    assert budget_curve.auc([4, 8, 16], [0, 1, 1]) == pytest.approx((0.5 + 1) / 2)
    # 2 to 8 takes two halvings, 8 to 16 one
    assert budget_curve.auc([2, 8, 16], [0, 0.6, 0.9]) == pytest.approx((2 * 0.3 + 0.75) / 3)
    assert budget_curve.auc([7], [0.25]) == 0.25


def test_every_point_is_the_answer_that_a_single_run_gives(found, picture):
    for swept in found.methods:
        for budget, answer in zip(swept.budgets, swept.answers, strict=True):
            alone = analyses.answer(
                CaseRequest.make("pico", picture, QUESTION), swept.method, budget
            )
            assert (answer.method, answer.budget) == (swept.method, budget)
            assert (answer.text, answer.agrees) == (alone.text, alone.agrees)
            assert answer.p_full == pytest.approx(alone.p_full, abs=1e-4)
            assert answer.layers == alone.layers


def test_the_summary_follows_from_the_points(found):
    for swept in (*found.methods, *found.draws):
        same = [answer.agrees for answer in swept.answers]
        assert swept.k_star == budget_curve.k_star(swept.budgets, same)
        assert swept.n_flips == budget_curve.n_flips(same)
        assert swept.auc == budget_curve.auc(swept.budgets, swept.likelihood)
        assert swept.likelihood == tuple(answer.p_full for answer in swept.answers)
    assert len({p for swept in found.methods for p in swept.likelihood}) > 3


def test_a_method_that_can_not_go_so_low_starts_at_its_floor(found, picture):
    clsattn, fastv = found.methods
    floor = catalog.resolve("fastv").floor(
        open_case(CaseRequest.make("pico", picture, QUESTION)).size
    )
    assert clsattn.budgets == found.budgets == (8, 64, 196)
    assert fastv.floor == floor > 8
    assert fastv.budgets == (floor, 64, 196)
    # what prunes inside the LLM is read against random inside the LLM, which has the same floor
    inside = [chance.likelihood for chance in fastv.random]
    assert [(each.method, each.budget) for each in fastv.random] == [
        ("random_inside", budget) for budget in fastv.budgets
    ]
    assert fastv.auc_random == pytest.approx(budget_curve.auc(fastv.budgets, inside))
    means = [chance.likelihood for chance in found.random]
    assert clsattn.random == found.random
    assert clsattn.auc_random == pytest.approx(budget_curve.auc(found.budgets, means))
    assert inside[1] != means[1]


def test_a_floor_between_two_rungs_of_random_is_read_on_a_line(picture, cache):
    found = analyses.sweep(
        CaseRequest.make("pico", picture, QUESTION), ["fopru:row"], BUDGETS, cache=cache
    )
    [row] = found.methods
    assert found.budgets == (8, 64, 196) and 8 < row.floor < 64
    means = [chance.likelihood for chance in found.random]
    share = math.log2(row.floor / 8) / math.log2(64 / 8)
    there = means[0] + share * (means[1] - means[0])
    expected = budget_curve.auc(row.budgets, [there, *means[1:]])
    assert row.auc_random == pytest.approx(expected)


def test_random_is_several_draws_at_every_budget(found):
    assert [swept.method for swept in found.draws] == list(comparison.DRAWS)
    assert len(comparison.DRAWS) >= 5
    for place, chance in enumerate(found.random):
        assert list(chance.draws) == [swept.answers[place] for swept in found.draws]
    assert found.random[0].spread > 0, "at few tokens the draws differ"


@pytest.mark.parametrize("method", ["pool", "visionzip", "sparsevlm", "corematching", "todre"])
def test_at_all_tokens_every_method_is_the_full_run(found, picture, cache, method):
    alone = analyses.answer(CaseRequest.make("pico", picture, QUESTION), method, 196, cache=cache)
    assert alone.text == found.full.text
    assert alone.p_full == pytest.approx(found.full.p_full, abs=1e-4)
    assert alone.layers == found.full.layers


def test_the_ladder_is_the_one_of_the_slider(picture, cache):
    laid = analyses.sweep(
        CaseRequest.make("pico", picture, QUESTION),
        ["fastv"],
        None,
        cache=cache,
        stop=lambda: True,
    )
    assert laid.budgets == method_maps.ladder(196, 1, 2) and laid.budgets[-1] == 196
    assert 12 <= len(laid.budgets) <= 13
    [fastv] = laid.methods  # its random is drawn at every second rung: a mean lies on a line
    assert len(laid.random) == len(laid.budgets)
    assert len(fastv.random) == len(fastv.budgets[:-1:2]) + 1 < len(fastv.budgets)
    assert fastv.random[-1].budget == 196
    for swept in (*laid.methods, laid.draws[0]):
        shown = analyses.draw(
            CaseRequest.make("pico", picture, QUESTION), swept.method, cache=cache
        )
        assert swept.budgets == shown.ladder


def test_what_is_remembered_is_not_computed_again(picture, cache, found):
    again = analyses.sweep(
        CaseRequest.make("pico", picture, QUESTION), CHOSEN, BUDGETS, cache=cache
    )
    for new, old in zip(again.methods, found.methods, strict=True):
        assert all(a is b for a, b in zip(new.answers[:-1], old.answers[:-1], strict=True))


def test_stop_leaves_the_rest_unanswered(picture):
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 6  # after the first few have been told

    found = analyses.sweep(
        CaseRequest.make("pico", picture, QUESTION), CHOSEN, [24, 48, 96], stop=stop
    )
    answers = [answer for swept in (*found.draws, *found.methods) for answer in swept.answers]
    assert 0 < sum(answer is not None for answer in answers) < len(answers)
    unfinished = [swept for swept in found.methods if None in swept.answers]
    assert unfinished and all(s.k_star is s.n_flips is s.auc is None for s in unfinished)
    assert None in found.random


def test_the_five_are_the_default_and_random_is_never_doubled(picture, cache):
    default = analyses.sweep(CaseRequest.make("pico", picture, QUESTION), None, [64], cache=cache)
    assert [swept.method for swept in default.methods] == list(FIVE)
    named = ["random", "fopru:row", "random?seed=3", "fopru:row"]
    few = analyses.sweep(CaseRequest.make("pico", picture, QUESTION), named, [64], cache=cache)
    assert [swept.method for swept in few.methods] == ["fopru:row"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((QUESTION, CHOSEN, []), BadBudget),
        ((QUESTION, CHOSEN, [0, 8]), BadBudget),
        ((QUESTION, CHOSEN, [197]), BadBudget),
        ((QUESTION, CHOSEN, [6.5]), BadBudget),
        ((QUESTION, CHOSEN, list(range(1, 40))), BadBudget),
        ((QUESTION, ["nomethod"], [8]), UnknownMethod),
        (("  ", CHOSEN, [8]), BadQuestion),
    ],
)
def test_bad_input_gets_a_sentence(picture, cache, arguments, error):
    with pytest.raises(error, match=r"\w.*\.$"):
        question, *rest = arguments
        analyses.sweep(CaseRequest.make("pico", picture, question), *rest, cache=cache)
