"""Picked sets, what an answer rests on, what broke it, and scores on trial."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from family_contract import QUESTION, noise
from unit.vlm.families.test_llava import tiny

from explorer import analyses
from explorer.analyses.attribution import importance, restoration, score_evaluation
from explorer.analyses.attribution.importance import Target
from explorer.analyses.attribution.target import target_tokens
from explorer.analyses.picked import check_kept
from explorer.cases.answers import full_run
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.progress import Progress, with_progress
from explorer.cases.records import Token, words_of
from explorer.cases.request import CaseRequest
from explorer.errors import BadAnswer, BadPick
from explorer.inference.ablation import AblationScorer
from explorer.media.grid import share
from explorer.media.layouts import padded_square
from explorer.methods import catalog
from explorer.metrics.fidelity import agrees
from explorer.pico.data import scenes

TINY = (tiny(real=False, cls=True, kv_heads=4), noise(180, 180), QUESTION)  # 4 x 4 patches
PICO = ("pico", scenes.make(3).image, "what is in the middle ?")


@pytest.fixture(scope="module")
def cache() -> ResultCache:
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
def test_a_picked_set_equal_to_a_methods_set_gives_that_methods_answer(spec, cache):
    theirs = analyses.answer(CaseRequest.make(*PICO), spec, 24, cache=cache)
    kept = theirs.stages[-1].kept.tolist()
    renumber = catalog.resolve(spec).positions == "renumber"
    ours = analyses.answer_from_tokens(
        CaseRequest.make(*PICO), kept[::-1], cache=cache, renumber=renumber
    )
    assert (ours.text, ours.tokens) == (theirs.text, theirs.tokens)
    assert (ours.p_full, ours.kl, ours.log_prob_loss) == (
        theirs.p_full,
        theirs.kl,
        theirs.log_prob_loss,
    )
    assert (ours.method, ours.budget, ours.layers) == ("picked", len(kept), theirs.layers)


def test_all_patches_picked_give_the_full_answer(cache):
    n = open_case(CaseRequest.make(*PICO), cache).size.tokens
    answer = analyses.answer_from_tokens(CaseRequest.make(*PICO), range(n), cache=cache)
    assert answer.agrees and answer.p_full == pytest.approx(
        full_run(open_case(CaseRequest.make(*PICO))).answer.p_full
    )


@pytest.mark.parametrize(
    "kept", [[], [0, 0], [196], [-1], [1.0], [True], ["3"], "12", None], ids=repr
)
def test_a_set_that_is_none_is_refused_in_words(kept, cache):
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


def test_leaving_one_out_tells_what_the_answer_loses(cache):
    steps = list(analyses.explain(CaseRequest.make(*TINY), cache=cache))
    found = steps.pop()
    assert all(isinstance(step, Progress) for step in steps) and steps[-1].done == steps[-1].total
    n = open_case(CaseRequest.make(*TINY), cache).size.tokens
    best = int(found.values.argmax())
    without = analyses.answer_from_tokens(
        CaseRequest.make(*TINY), [t for t in range(n) if t != best], cache=cache
    )
    with_eos = full_run(open_case(CaseRequest.make(*TINY), cache)).answer
    assert found.answer == with_eos.text and found.tokens == len(with_eos.tokens)
    assert found.values.shape == (n,) and found.values[best] > 0
    assert without.p_full < with_eos.p_full
    again = list(analyses.explain(CaseRequest.make(*TINY), cache=cache))
    assert again == [found], "remembered"


def test_shapley_values_are_shared_by_the_patches_of_a_square(cache):
    found = last(analyses.explain(CaseRequest.make(*TINY), way="shapley", cache=cache))
    assert found.values.sum() == pytest.approx(found.worth, abs=1e-3)
    side = found.values.reshape(4, 4)
    assert np.array_equal(side[::2, ::2], side[1::2, 1::2])
    assert len(np.unique(side)) == 4


def test_integrated_gradients_take_fewer_steps_at_once_of_a_long_prompt(monkeypatch):
    few = last(analyses.explain(CaseRequest.make(*TINY), way="gradients"))
    rows, real = [], AblationScorer.log_prob_replaced

    def seen(scorer, tokens):
        rows.append(len(tokens))
        return real(scorer, tokens)

    monkeypatch.setattr(AblationScorer, "log_prob_replaced", seen)
    monkeypatch.setattr(importance, "TOKENS_AT_ONCE", 1)
    alone = last(analyses.explain(CaseRequest.make(*TINY), way="gradients"))
    assert max(rows) == 1
    np.testing.assert_allclose(alone.values, few.values, atol=1e-4)


@pytest.mark.parametrize("way", ["mean", "zero", "gradients", "occlusion"])
def test_other_ways_have_a_baseline_of_their_own(way, cache):
    found = last(analyses.explain(CaseRequest.make(*TINY), way=way, cache=cache))
    assert np.isfinite(found.values).all() and found.values.std() > 0
    assert found.full == pytest.approx(
        last(analyses.explain(CaseRequest.make(*TINY), cache=cache)).full, abs=1e-3
    )
    if way == "gradients":
        assert found.values.sum() - found.worth == pytest.approx(found.delta, abs=1e-3)
        assert found.converged
    else:
        assert found.delta is None
    if way == "occlusion":
        assert len(np.unique(found.values)) == 16, "every patch lies in a square of its own"


def test_words_add_up_to_the_answer(cache):
    whole = last(analyses.explain(CaseRequest.make(*TINY), cache=cache))
    assert len(whole.words) > 1 and " ".join(whole.words) == whole.answer
    parts = [
        last(analyses.explain(CaseRequest.make(*TINY), Target(word=word), cache=cache))
        for word in range(len(whole.words))
    ]
    assert tuple(part.answer for part in parts) == whole.words
    assert sum(part.full for part in parts) == pytest.approx(whole.full, abs=1e-3)
    assert np.allclose(sum(part.values for part in parts), whole.values, atol=1e-3)


def test_tokens_are_joined_to_words():
    pieces = tuple(Token(text, 1.0) for text in ["a", " bl", "ack", "", " cat", "."])
    assert words_of(pieces) == [("a", 0, 1), ("black", 1, 4), ("cat.", 4, 6)]


def test_another_answer_can_be_typed(cache):
    full = last(analyses.explain(CaseRequest.make(*TINY), cache=cache))
    same = last(
        analyses.explain(CaseRequest.make(*TINY), Target(text=f"  {full.answer} "), cache=cache)
    )
    assert np.allclose(same.values, full.values, atol=1e-5)
    other = last(analyses.explain(CaseRequest.make(*TINY), Target(text="a b"), cache=cache))
    assert other.answer == "a b" and other.full < full.full and other.word is None


def test_words_of_a_typed_text_are_explained_in_their_place(cache):
    full = last(analyses.explain(CaseRequest.make(*TINY), cache=cache))
    own = last(analyses.explain(CaseRequest.make(*TINY), Target(word=1), cache=cache))
    typed = last(analyses.explain(CaseRequest.make(*TINY), Target(1, full.answer), cache=cache))
    assert typed.answer == own.answer == full.words[1]
    assert np.allclose(typed.values, own.values, atol=1e-5)
    two = last(analyses.explain(CaseRequest.make(*TINY), Target(0, full.answer, 2), cache=cache))
    assert two.answer == " ".join(full.words[:2])


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (Target(0, "a b", 3), "no such word"),
        (Target(-1, "a b"), "no such word"),
        (Target(text=" "), "type the answer"),
        (Target(text="x" * 201), "under 201"),
        (Target(text="qqqq"), "does not know"),
        (Target(word=99), "no such word"),
        (Target(word=-1), "no such word"),
    ],
)
def test_what_can_not_be_explained_is_refused_in_words(target, says, cache):
    with pytest.raises(BadAnswer, match=says):
        last(analyses.explain(CaseRequest.make(*TINY), target, cache=cache))
    with pytest.raises(BadAnswer, match="no such way"):
        last(analyses.explain(CaseRequest.make(*TINY), way="guessing", cache=cache))


# ---- what broke it


def test_the_return_of_the_blamed_patches_restores_the_answer(cache):
    request = CaseRequest.make(*PICO)
    full = full_run(open_case(request, cache)).answer.text
    pruned = [analyses.answer(request, "clsattn", k, cache=cache) for k in (48, 24, 12, 6, 3)]
    kept = next(each.stages[-1].kept.tolist() for each in pruned if not agrees(each.text, full))
    found = last(analyses.find_restoring_patches(request, kept, cache=cache, renumber=True))
    assert not agrees(found.before.text, full)
    assert found.found and 1 <= len(found.restored_tokens) <= restoration.MAX_PATCHES
    assert not set(found.restored_tokens) & set(kept)
    again = analyses.answer_from_tokens(
        request, [*kept, *found.restored_tokens], cache=cache, renumber=True
    )
    assert agrees(again.text, full) and found.after.text == again.text
    assert found.p_before < found.p_after


@pytest.mark.parametrize("kept", [[0], [5, 6], [15], [1, 2, 3]], ids=str)
def test_none_of_the_blamed_patches_can_be_left_out(kept, cache):
    found = last(analyses.find_restoring_patches(CaseRequest.make(*TINY), kept, cache=cache))
    full = full_run(open_case(CaseRequest.make(*TINY), cache)).answer.text
    assert not agrees(found.before.text, full) and found.found
    for left_out in found.restored_tokens if len(found.restored_tokens) > 1 else ():
        fewer = [token for token in found.restored_tokens if token != left_out]
        assert not agrees(
            analyses.answer_from_tokens(CaseRequest.make(*TINY), [*kept, *fewer], cache=cache).text,
            full,
        )


def test_where_nothing_is_broken_nobody_is_blamed(cache):
    n = open_case(CaseRequest.make(*PICO), cache).size.tokens
    found = last(analyses.find_restoring_patches(CaseRequest.make(*PICO), range(1, n), cache=cache))
    assert found.restored_tokens == () and not found.found and found.after.text == found.before.text
    with pytest.raises(BadPick, match="No patch is dropped"):
        last(analyses.find_restoring_patches(CaseRequest.make(*PICO), range(n), cache=cache))


def test_an_answer_that_no_patch_gives_is_said_to_be_out_of_reach(cache):
    found = last(
        analyses.find_restoring_patches(
            CaseRequest.make(*TINY), [0, 1, 2], cache=cache, target="a b c"
        )
    )
    assert (
        found.after is None
        and not found.found
        and len(found.restored_tokens) <= restoration.MAX_PATCHES
    )


# ---- scores on trial


def test_curves_begin_with_nothing_and_end_with_everything(cache):
    found = [
        each
        for each in analyses.evaluate_scores(
            CaseRequest.make(*TINY), ["fastv", "clsattn"], 4, cache=cache
        )
        if isinstance(each, score_evaluation.ScoreEvaluation)
    ]
    anew, kept = found[:3], found[3:]
    assert [(each.name, each.renumber) for each in anew] == [
        (name, True) for name in ("oracle", "random", "clsattn")
    ]
    assert [(each.name, each.renumber) for each in kept] == [
        (name, False) for name in ("oracle", "random", "fastv")
    ]
    full = anew[0].inserted[-1]
    for each in found:
        assert each.step == 1 and len(each.inserted) == len(each.deleted) == 17
        assert each.inserted[-1] == pytest.approx(full, abs=1e-4)
        assert each.deleted[0] == pytest.approx(full, abs=1e-4)
        assert 0 <= each.deletion <= 1 and 0 <= each.insertion <= 1
    for renumber, (oracle, random, _) in ((True, anew), (False, kept)):
        own = last(analyses.explain(CaseRequest.make(*TINY), renumber=renumber, cache=cache))
        assert full == pytest.approx(np.exp(own.full / own.tokens), abs=1e-4)
        assert oracle.deletion < random.deletion
        assert oracle.spearman is None
    assert anew[1].inserted != kept[1].inserted, "the same orders, other positions"
    clsattn, fastv = anew[2], kept[2]
    assert clsattn.pruned is None, "nested and before the LLM: insertion is its pruning"
    rungs = dict(fastv.pruned)
    assert rungs[16] == pytest.approx(full, abs=1e-4)
    assert -1 <= fastv.spearman <= 1
    assert 0 <= fastv.overlap <= 1


@pytest.mark.parametrize("renumber", [True, False])
def test_positions_count_as_they_are_told(cache, renumber):
    request = CaseRequest.make(*TINY)
    case = open_case(request, cache)
    n, tokens = case.size.tokens, target_tokens(case, Target(), cache).tokens
    scorer = AblationScorer(case.decoder, case.prompt(), tokens, renumber=renumber)
    found = last(analyses.explain(request, renumber=renumber, cache=cache))
    without = scorer.log_prob_ablated(1 - torch.eye(n))
    assert found.renumber is renumber
    assert found.values == pytest.approx(found.full - without.numpy(), abs=1e-4)

    spec = f"clsattn?positions={'renumber' if renumber else 'keep'}"
    *_, trial = (
        each
        for each in analyses.evaluate_scores(request, [spec], 4, cache=cache)
        if isinstance(each, score_evaluation.ScoreEvaluation)
    )
    kept = analyses.answer(request, spec, 4, cache=cache).stages[-1].kept
    present = torch.zeros(1, n).index_fill(1, torch.from_numpy(kept.astype("int64")), 1)
    s = float((scorer.log_prob_ablated(present) / len(tokens)).exp())
    assert trial.renumber is renumber
    assert trial.inserted[4] == pytest.approx(s, abs=1e-4)


def test_the_rule_for_positions_matters_and_only_where_patches_are_absent(cache):
    request = CaseRequest.make(*TINY)
    anew, kept = (
        last(analyses.explain(request, renumber=renumber, cache=cache)).values
        for renumber in (True, False)
    )
    assert np.abs(anew - kept).max() > 1e-3
    mean = last(analyses.explain(request, way="mean", renumber=True, cache=cache))
    assert mean.renumber is None


# ---- boxes


def test_the_share_of_a_box_under_kept_patches():
    grid = padded_square(40, 40, 4)
    assert share(grid, (0, 0, 20, 20), [0, 1, 4, 5]) == 1
    assert share(grid, (5, 5, 15, 15), [0]) == pytest.approx(0.25)
    assert share(grid, (5, 5, 15, 15), [0, 0, 5]) == pytest.approx(0.5)
    assert share(grid, (0, 0, 40, 40), [3]) == pytest.approx(1 / 16)
    assert share(grid, (0, 0, 40, 40), []) == 0
