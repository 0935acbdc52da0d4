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
from explorer.tools.failures import find as tools_failures
from explorer.tools.failures.shards import shard

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
    found = hits("random", 4, against="uniform")
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


SEARCH = tools_failures.Search("random", 2, scenes=3, first=40)


@pytest.fixture(scope="module")
def shares(tmp_path_factory):
    """The files of a search by three machines, the last of which is done first."""
    folder, files = tmp_path_factory.mktemp("shares"), []
    for share in (shard("3/3"), shard("1/3"), shard("2/3")):
        files.append(folder / f"failures-{share}.json")
        tools_failures.write_share(SEARCH, share, SEARCH.hits(share), files[-1])
    return files


def printed(monkeypatch, capsys, *options: object) -> str:
    monkeypatch.setattr(sys, "argv", ["failures", *map(str, options)])
    tools_failures.main()
    return capsys.readouterr().out


def test_shares_put_together_are_what_one_machine_finds(shares):
    search, hits = tools_failures.merged(shares)
    assert search == SEARCH
    assert failures.ranked(hits) == failures.ranked(SEARCH.hits())
    assert {hit.seed for hit in hits} <= set(range(40, 43)) and hits


def test_the_command_prints_the_same_with_shares(shares, monkeypatch, capsys, tmp_path):
    asked = ["--method", "random", "--budget", 2, "--scenes", 3, "--first", 40]
    alone = printed(monkeypatch, capsys, *asked)
    assert alone.endswith("failures in 3 scenes, 3 questions each\n")
    assert printed(monkeypatch, capsys, "--merge", *shares) == alone
    printed(monkeypatch, capsys, *asked, "--shard", "2/3", "--out", tmp_path / "new")
    [written] = (tmp_path / "new").iterdir()
    assert written.read_text() == shares[2].read_text() and written.name == shares[2].name


def test_shares_that_do_not_fit_together_are_refused(shares, monkeypatch, capsys, tmp_path):
    for wrong in (shares[:2], [*shares, shares[0]], [tmp_path / "none.json"]):
        with pytest.raises(SystemExit):
            printed(monkeypatch, capsys, "--merge", *wrong)
    assert "1/3, 3/3" in capsys.readouterr().err
    other = tmp_path / "other.json"
    tools_failures.write_share(tools_failures.Search("random", 3), shard("2/3"), [], other)
    with pytest.raises(ValueError, match="different searches"):
        tools_failures.merged([*shares[:2], other])
