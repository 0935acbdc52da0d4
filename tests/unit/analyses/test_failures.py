"""The failure finder: hits are what they claim to be, ranked, and the same every time."""

from __future__ import annotations

import sys

import pytest

from explorer import analyses
from explorer.analyses import failures
from explorer.cases import answers
from explorer.cases.request import CaseRequest
from explorer.errors import BadBudget, UnknownMethod
from explorer.metrics.fidelity import agrees
from explorer.pico.data import scenes
from explorer.pico.data.questions import truths
from explorer.tools.distributed import Team, log
from explorer.tools.failures import find as tools_failures

SEEDS = range(40, 44)
FEW = SEEDS[:3]


def hits(method: str, budget: int, against: str = answers.FULL) -> list[failures.Failure]:
    return [f for f in failures.find(method, budget, FEW, against) if f]


@pytest.fixture(scope="module")
def told() -> list[failures.Failure | None]:
    """Everything that the search for failures at two tokens tells."""
    return list(failures.find("random", 2, SEEDS))


def test_a_hit_is_wrong_at_the_budget_and_right_with_all_tokens(told):
    found = [f for f in told if f]
    assert found, "two tokens in 196 can't be enough for every question"
    for hit in found[:2]:
        image = scenes.make(hit.seed).image
        assert truths(scenes.make(hit.seed))[hit.question] == hit.truth
        full = analyses.answer(CaseRequest.make("pico", image, hit.question), "full", 196)
        pruned = analyses.answer(CaseRequest.make("pico", image, hit.question), "random", 2)
        assert agrees(full.text, hit.truth)
        assert pruned.text == hit.wrong and not agrees(hit.wrong, hit.truth)
        assert 0 < hit.sure <= 1


def test_every_scene_is_told_when_it_is_done(told):
    assert sum(f is None for f in told) == len(SEEDS)


def test_the_surest_come_first_and_again_the_same(told):
    found = failures.ranked([f for f in told if f])
    assert [f.sure for f in found] == sorted((f.sure for f in found), reverse=True)
    again = failures.ranked(hits("random", 2))
    assert again and again == [f for f in found if f.seed in FEW]


def test_two_methods_are_compared_at_the_same_budget():
    found = [f for f in failures.find("random", 4, range(4), "uniform") if f]
    assert found
    for hit in found:
        image = scenes.make(hit.seed).image
        assert agrees(
            analyses.answer(CaseRequest.make("pico", image, hit.question), "uniform", 4).text,
            hit.truth,
        )


def test_unknown_methods_and_budgets_out_of_reach_are_refused():
    with pytest.raises(UnknownMethod):
        hits("nonsense", 20)
    with pytest.raises(UnknownMethod):
        hits("random", 20, against="nonsense")
    with pytest.raises(BadBudget):
        hits("fastv", 2)


def printed(monkeypatch, capsys, *options: object) -> str:
    monkeypatch.setattr(sys, "argv", ["failures", *map(str, options)])
    tools_failures.main()
    return capsys.readouterr().out


def test_a_search_that_was_stopped_goes_on_and_prints_the_same(monkeypatch, capsys, tmp_path):
    asked = ["--method", "random", "--budget", 2, "--scenes", 3, "--first", 40]
    alone = printed(monkeypatch, capsys, *asked)
    assert alone.endswith("failures in 3 scenes, 3 questions each\n")
    search, kept = tools_failures.Search("random", 2), tmp_path / "so-far.jsonl"
    for number, _ in enumerate(tools_failures.look(search, search.scene, FEW, Team(), kept)):
        if number == 1:
            break  # as if somebody had ended it
    other = tools_failures.Search("random", 3)
    log.append(kept, tools_failures.Looked(other, "42", ()))
    looked = []
    monkeypatch.setattr(
        tools_failures, "find", lambda *how: looked.append(how[2]) or failures.find(*how)
    )
    assert printed(monkeypatch, capsys, *asked, "--log", kept) == alone
    assert looked == [[42]] and not kept.exists()
