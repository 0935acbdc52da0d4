"""Picked sets, what an answer rests on, what broke it, and scores on trial."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from family_contract import QUESTION, noise
from unit.vlm.families.test_llava import tiny

from explorer.analyses import api
from explorer.analyses.attribution import restoration, score_evaluation
from explorer.analyses.attribution.importance import Target
from explorer.analyses.picked import check_kept
from explorer.cases.answers import full_run
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.progress import Progress, with_progress
from explorer.cases.records import Token, words_of
from explorer.errors import BadAnswer, BadPick
from explorer.media.grid import share
from explorer.media.layouts import padded_square
from explorer.methods import catalog
from explorer.metrics.fidelity import agrees
from explorer.pico.data import scenes

TINY = (tiny(real=False, cls=True, kv_heads=4), noise(180, 180), QUESTION)  # 4 x 4 patches
PICO = ("pico", scenes.make(3).image, "what is in the middle ?")
BROKEN = ("pico", scenes.make(2).image, "what is in the middle ?")


@pytest.fixture(scope="module")
def memory() -> ResultCache:
    return ResultCache(64_000_000)


def last(steps):
    *_, found = steps
    return found


# ---- picked sets

INPUT_LEVEL = [
    method.spec
    for method in catalog.choices()
    if method.where == "before the LLM" and not method.merges and not method.slow
]


@pytest.mark.parametrize("spec", INPUT_LEVEL)
def test_a_picked_set_equal_to_a_methods_set_gives_that_methods_answer(spec, memory):
    theirs = api.answer(*PICO, spec, 24, memory)
    kept = theirs.stages[-1].kept.tolist()
    renumber = catalog.resolve(spec).positions == "renumber"
    ours = api.pick(*PICO, kept[::-1], memory, renumber=renumber)
    assert (ours.text, ours.tokens) == (theirs.text, theirs.tokens)
    assert (ours.p_full, ours.kl, ours.drop) == (theirs.p_full, theirs.kl, theirs.drop)
    assert (ours.method, ours.budget, ours.layers) == ("picked", len(kept), theirs.layers)


def test_all_patches_picked_give_the_full_answer(memory):
    n = open_case(*PICO, memory).size.tokens
    answer = api.pick(*PICO, range(n), memory)
    assert answer.same and answer.p_full == pytest.approx(full_run(open_case(*PICO)).answer.p_full)


@pytest.mark.parametrize(
    "kept", [[], [0, 0], [196], [-1], [1.0], [True], ["3"], "12", None], ids=repr
)
def test_a_set_that_is_none_is_refused_in_words(kept, memory):
    with pytest.raises(BadPick, match=r"\.$"):
        check_kept(kept, 196)


# ---- following


def test_who_follows_sees_progress_and_the_result():
    def work(tell):
        tell(1, 2)
        tell(2, 2)
        return "done"

    assert list(with_progress(work)) == [Progress(1, 2), Progress(2, 2), "done"]


def test_what_the_work_raises_is_raised_where_it_is_followed():
    def work(tell):
        tell(1, 2)
        raise BadPick("no")

    with pytest.raises(BadPick, match="no"):
        list(with_progress(work))


def test_work_that_nobody_follows_stops_and_leaves_no_thread():
    reached = []

    def work(tell):
        for step in range(1000):
            tell(step, 1000)
            reached.append(step)
            time.sleep(0.002)

    before = threading.active_count()
    steps = with_progress(work)
    next(steps)
    steps.close()
    assert len(reached) < 1000 and threading.active_count() == before


# ---- what an answer rests on


def test_leaving_one_out_tells_what_the_answer_loses(memory):
    steps = list(api.oracle(*TINY, memory=memory))
    found = steps.pop()
    assert all(isinstance(step, Progress) for step in steps) and steps[-1].done == steps[-1].total
    n = open_case(*TINY, memory).size.tokens
    best = int(found.values.argmax())
    without = api.pick(*TINY, [t for t in range(n) if t != best], memory)
    with_eos = full_run(open_case(*TINY, memory)).answer
    assert found.answer == with_eos.text and found.tokens == len(with_eos.tokens)
    assert found.values.shape == (n,) and found.values[best] > 0
    assert without.p_full < with_eos.p_full
    again = list(api.oracle(*TINY, memory=memory))
    assert again == [found], "remembered"


def test_shapley_values_are_shared_by_the_patches_of_a_square(memory):
    found = last(api.oracle(*TINY, way="shapley", memory=memory))
    assert found.values.sum() == pytest.approx(found.worth, abs=1e-3)
    side = found.values.reshape(4, 4)
    assert np.array_equal(side[::2, ::2], side[1::2, 1::2])
    assert len(np.unique(side)) == 4


@pytest.mark.parametrize("way", ["mean", "zero", "gradients", "occlusion"])
def test_other_ways_have_a_baseline_of_their_own(way, memory):
    found = last(api.oracle(*TINY, way=way, memory=memory))
    assert np.isfinite(found.values).all() and found.values.std() > 0
    assert found.full == pytest.approx(last(api.oracle(*TINY, memory=memory)).full, abs=1e-3)
    if way == "gradients":
        assert found.values.sum() - found.worth == pytest.approx(found.delta, abs=1e-3)
        assert found.converged
    else:
        assert found.delta is None
    if way == "occlusion":
        assert len(np.unique(found.values)) == 16, "every patch lies in a square of its own"


def test_words_add_up_to_the_answer(memory):
    whole = last(api.oracle(*TINY, memory=memory))
    assert len(whole.words) > 1 and " ".join(whole.words) == whole.answer
    parts = [
        last(api.oracle(*TINY, Target(word=word), memory=memory))
        for word in range(len(whole.words))
    ]
    assert tuple(part.answer for part in parts) == whole.words
    assert sum(part.full for part in parts) == pytest.approx(whole.full, abs=1e-3)
    assert np.allclose(sum(part.values for part in parts), whole.values, atol=1e-3)


def test_tokens_are_joined_to_words():
    pieces = tuple(Token(text, 1.0) for text in ["a", " bl", "ack", "", " cat", "."])
    assert words_of(pieces) == [("a", 0, 1), ("black", 1, 4), ("cat.", 4, 6)]


def test_another_answer_can_be_typed(memory):
    full = last(api.oracle(*TINY, memory=memory))
    same = last(api.oracle(*TINY, Target(text=f"  {full.answer} "), memory=memory))
    assert np.allclose(same.values, full.values, atol=1e-5)
    other = last(api.oracle(*TINY, Target(text="a b"), memory=memory))
    assert other.answer == "a b" and other.full < full.full and other.word is None


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (Target(text=" "), "type the answer"),
        (Target(text="x" * 201), "under 201"),
        (Target(text="qqqq"), "does not know"),
        (Target(word=99), "no such word"),
        (Target(word=-1), "no such word"),
    ],
)
def test_what_can_not_be_explained_is_refused_in_words(target, says, memory):
    with pytest.raises(BadAnswer, match=says):
        last(api.oracle(*TINY, target, memory=memory))
    with pytest.raises(BadAnswer, match="no such way"):
        last(api.oracle(*TINY, way="guessing", memory=memory))


# ---- what broke it


def test_the_return_of_the_blamed_patches_restores_the_answer(memory):
    kept = api.answer(*BROKEN, "clsattn", 24, memory).stages[-1].kept.tolist()
    found = last(api.what_broke_it(*BROKEN, kept, memory, renumber=True))
    full = full_run(open_case(*BROKEN, memory)).answer.text
    assert not agrees(found.before.text, full)
    assert found.found and 1 <= len(found.returned) <= restoration.MAX_PATCHES
    assert not set(found.returned) & set(kept)
    again = api.pick(*BROKEN, [*kept, *found.returned], memory, renumber=True)
    assert agrees(again.text, full) and found.after.text == again.text
    assert found.p_before < found.p_after


@pytest.mark.parametrize("kept", [[0], [5, 6], [15], [1, 2, 3]], ids=str)
def test_none_of_the_blamed_patches_can_be_left_out(kept, memory):
    found = last(api.what_broke_it(*TINY, kept, memory))
    full = full_run(open_case(*TINY, memory)).answer.text
    assert not agrees(found.before.text, full) and found.found
    for left_out in found.returned if len(found.returned) > 1 else ():
        fewer = [token for token in found.returned if token != left_out]
        assert not agrees(api.pick(*TINY, [*kept, *fewer], memory).text, full)


def test_where_nothing_is_broken_nobody_is_blamed(memory):
    n = open_case(*PICO, memory).size.tokens
    found = last(api.what_broke_it(*PICO, range(1, n), memory))
    assert found.returned == () and not found.found and found.after.text == found.before.text
    with pytest.raises(BadPick, match="No patch is dropped"):
        last(api.what_broke_it(*PICO, range(n), memory))


def test_an_answer_that_no_patch_gives_is_said_to_be_out_of_reach(memory):
    found = last(api.what_broke_it(*TINY, [0, 1, 2], memory, wanted="a b c"))
    assert (
        found.after is None and not found.found and len(found.returned) <= restoration.MAX_PATCHES
    )


# ---- scores on trial


def test_curves_begin_with_nothing_and_end_with_everything(memory):
    found = {
        each.name: each
        for each in api.trials(*TINY, ["clsattn", "fastv"], 4, memory)
        if isinstance(each, score_evaluation.ScoreEvaluation)
    }
    assert list(found) == ["oracle", "random", "clsattn", "fastv"]
    full = found["oracle"].inserted[-1]
    for each in found.values():
        assert each.step == 1 and len(each.inserted) == len(each.deleted) == 17
        assert each.inserted[-1] == pytest.approx(full, abs=1e-4)
        assert each.deleted[0] == pytest.approx(full, abs=1e-4)
        assert 0 <= each.deletion <= 1 and 0 <= each.insertion <= 1
    oracle = last(api.oracle(*TINY, memory=memory))
    assert full == pytest.approx(np.exp(oracle.full / oracle.tokens), abs=1e-4)
    assert found["oracle"].deletion < found["random"].deletion
    assert found["clsattn"].pruned is None, "nested and before the LLM: insertion is its pruning"
    rungs = dict(found["fastv"].pruned)
    assert rungs[16] == pytest.approx(full, abs=1e-4)
    assert found["oracle"].spearman is None and -1 <= found["fastv"].spearman <= 1
    assert 0 <= found["fastv"].overlap <= 1


# ---- boxes


def test_the_share_of_a_box_under_kept_patches():
    grid = padded_square(40, 40, 4)
    assert share(grid, (0, 0, 20, 20), [0, 1, 4, 5]) == 1
    assert share(grid, (5, 5, 15, 15), [0]) == pytest.approx(0.25)
    assert share(grid, (5, 5, 15, 15), [0, 0, 5]) == pytest.approx(0.5)
    assert share(grid, (0, 0, 40, 40), [3]) == pytest.approx(1 / 16)
    assert share(grid, (0, 0, 40, 40), []) == 0
