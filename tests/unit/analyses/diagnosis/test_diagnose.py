"""The diagnosis of a case that breaks, on the built-in model: its evidence is what it claims."""

from __future__ import annotations

import pytest

from explorer import analyses
from explorer.analyses.diagnosis.evidence import things_of
from explorer.analyses.diagnosis.records import QUESTIONS, StepResult
from explorer.analyses.diagnosis.verdict import Verdict
from explorer.analyses.picked import renumbers
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.errors import BadAnswer, UnknownMethod
from explorer.metrics.fidelity import agrees
from explorer.pico.data import scenes
from explorer.vlm.progress import Progress

SEED, QUESTION, METHOD = 123, "what is in the middle ?", "clsattn"


@pytest.fixture(scope="module")
def cache() -> ResultCache:
    return ResultCache(200_000_000)


@pytest.fixture(scope="module")
def request_() -> CaseRequest:
    return CaseRequest.make("pico", scenes.make(SEED).image, QUESTION)


@pytest.fixture(scope="module")
def budget(request_, cache) -> int:
    """One at which the answer is another, whichever weights pico has."""
    tried = (analyses.answer(request_, METHOD, k, cache=cache) for k in (24, 12, 6, 3))
    return next(answer.budget for answer in tried if not answer.agrees)


@pytest.fixture(scope="module")
def events(request_, budget, cache) -> list:
    """All that is told where nobody knows the truth, so that the full answer stands in for it."""
    return list(analyses.diagnose(request_, METHOD, budget, None, things_of(SEED), cache=cache))


def test_every_step_is_announced_and_told_in_order(events):
    steps = [event for event in events if isinstance(event, StepResult)]
    assert [step.key for step in steps] == list(QUESTIONS)
    begun = [event.stage for event in events if isinstance(event, Progress) and not event.total]
    assert begun == list(QUESTIONS)
    assert events[-1].steps == tuple(steps) and all(step.finding for step in steps)


def test_what_it_says_of_answers_is_what_they_are(events, request_, budget, cache):
    found, steps = events[-1], {step.key: step for step in events[-1].steps}
    full = analyses.answer(request_, cache=cache)
    pruned = analyses.answer(request_, METHOD, budget, cache=cache)
    assert (found.full, found.pruned) == (full.text, pruned.text)
    assert steps["full"].holds and steps["pruned"].holds is False
    kept = analyses.answer(request_, f"{METHOD}?positions=keep", budget, cache=cache)
    assert steps["positions"].holds == kept.agrees
    assert not steps["alone"].asked, "it neither merges nor drops inside the language model"
    assert sum(word.loss for word in steps["pruned"].words) == pytest.approx(
        sum(pruned.token_losses[: len(full.tokens)])
    )
    total = pruned.log_prob_loss * len(pruned.token_losses)
    assert sum(pruned.token_losses) == pytest.approx(total, rel=1e-4)


def test_patches_that_it_blames_give_the_answer_back(events, request_, budget, cache):
    found = events[-1]
    assert found.verdict not in (Verdict.MODEL_WRONG, Verdict.NOTHING_BROKE)
    restored = next(step for step in found.steps if step.key == "restored")
    assert restored.holds and restored.patches
    pruned = analyses.answer(request_, METHOD, budget, cache=cache)
    together = sorted({*pruned.stages[-1].kept.tolist(), *restored.patches})
    again = analyses.answer_from_tokens(request_, together, renumbers(METHOD), cache=cache)
    assert agrees(again.text, found.full)


def test_a_second_look_comes_from_memory(events, request_, budget, cache):
    again = list(analyses.diagnose(request_, METHOD, budget, None, things_of(SEED), cache=cache))
    assert again == [*events[-1].steps, events[-1]]


def test_with_all_tokens_nothing_breaks_and_a_wrong_model_is_not_prunings_fault(request_, cache):
    *_, whole = analyses.diagnose(request_, METHOD, 196, cache=cache)
    assert whole.verdict in (Verdict.NOTHING_BROKE, Verdict.NOT_LOOKING)
    told = analyses.diagnose(request_, METHOD, 196, "a submarine", cache=cache)
    step = next(event for event in told if isinstance(event, StepResult))
    assert step.holds is False and "right is “a submarine”" in step.finding
    told.close()


def test_bad_words_get_a_sentence(request_):
    with pytest.raises(UnknownMethod):
        list(analyses.diagnose(request_, "full", 64))
    with pytest.raises(BadAnswer):
        list(analyses.diagnose(request_, METHOD, 64, " "))
