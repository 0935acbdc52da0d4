"""The oracle: absent tokens are dropped tokens, sums come out even, and pictures matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.cases import answers
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.inference.ablation import AblationScorer
from explorer.inference.decode import teacher_force
from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.signals import Kept, Stage
from explorer.metrics import fidelity, insertion_deletion
from explorer.pico.data import scenes

N, ANSWER = 16, [5, 9, 11]


@pytest.fixture(params=[4, 2], ids=["heads", "grouped"])
def probe(request) -> AblationScorer:
    return AblationScorer(taken_apart(tiny_llama(request.param)), random_prompt(visual=N), ANSWER)


def dropped(
    probe: AblationScorer, kept: list[int], renumber: bool = False, span: slice = slice(None)
) -> float:
    """The same log-probability from a run whose other tokens are really gone."""
    stage = Stage(0, len(kept), optional=not renumber)
    plan = PruningPlan(
        (stage,), lambda *_: Kept(torch.tensor(kept, dtype=torch.long)), renumber=renumber
    )
    run = prefill(probe.decoder, random_prompt(visual=N), plan)
    logits = teacher_force(run, ANSWER).log_softmax(-1)
    return float(logits[torch.arange(len(ANSWER)), torch.tensor(ANSWER)][span].sum())


def test_absent_is_the_same_as_dropped(probe):
    sets = [list(range(N)), [0, 3, 8], [15], list(range(1, N)), list(range(N - 1)), []]
    present = torch.zeros(len(sets), N)
    for row, kept in enumerate(sets):
        present[row, kept] = 1
    together = probe.log_prob_ablated(present)
    for row, kept in enumerate(sets):
        assert float(together[row]) == pytest.approx(dropped(probe, kept), abs=2e-5)
        alone = probe.log_prob_ablated(present[row : row + 1])
        assert float(alone) == pytest.approx(float(together[row]), abs=2e-5)


@pytest.mark.parametrize("n_threads", [2, 3])
@pytest.mark.parametrize("renumber", [False, True])
def test_several_threads_find_what_one_finds_and_tell_of_every_row(probe, n_threads, renumber):
    present = (torch.rand(23, N, generator=torch.Generator().manual_seed(4)) > 0.4).float()
    alone = AblationScorer(probe.decoder, random_prompt(visual=N), ANSWER, renumber=renumber)
    several = AblationScorer(
        probe.decoder, random_prompt(visual=N), ANSWER, renumber=renumber, n_threads=n_threads
    )
    told: list[int] = []
    found = several.log_prob_ablated(present, told.append)
    assert torch.allclose(found, alone.log_prob_ablated(present), atol=2e-5)
    assert sum(told) == 23 and len(told) >= n_threads


def test_those_that_stay_may_be_counted_anew(probe):
    again = AblationScorer(probe.decoder, random_prompt(visual=N), ANSWER, renumber=True)
    for kept in ([0, 3, 8], [15], list(range(1, N)), [2, 3]):
        present = torch.zeros(2, N)
        present[0, kept] = present[1, :] = 1
        found = again.log_prob_ablated(present)
        assert float(found[0]) == pytest.approx(dropped(probe, kept, renumber=True), abs=2e-5)
        assert float(found[0]) != pytest.approx(dropped(probe, kept), abs=1e-3)


@pytest.mark.parametrize("span", [(0, 1), (1, 2), (1, 3)])
def test_a_word_is_judged_behind_the_words_before_it(probe, span):
    word = AblationScorer(probe.decoder, random_prompt(visual=N), ANSWER, span)
    present = torch.zeros(1, N)
    present[0, [0, 3, 8]] = 1
    wanted = dropped(probe, [0, 3, 8], span=slice(*span))
    assert float(word.log_prob_ablated(present)) == pytest.approx(wanted, abs=2e-5)


def test_the_untouched_tokens_give_the_full_answers_probability(probe):
    with torch.no_grad():
        assert float(probe.log_prob_replaced(probe.tokens)) == pytest.approx(
            float(probe.log_prob_ablated(torch.ones(1, N))), abs=2e-5
        )


def test_an_insertion_curve_ends_with_everything_and_begins_with_nothing(probe):
    order = np.arange(N)[::-1]
    inserted = insertion_deletion.curve(probe.log_prob_ablated, order, step=3)
    deleted = insertion_deletion.curve(probe.log_prob_ablated, order, step=3, inserting=False)
    assert len(inserted) == len(deleted) == 7
    full, none = (float(probe.log_prob_ablated(torch.full((1, N), x))) for x in (1.0, 0.0))
    assert inserted[-1] == deleted[0] == pytest.approx(full, abs=2e-5)
    assert inserted[0] == deleted[-1] == pytest.approx(none, abs=2e-5)


def test_orders_break_ties_by_the_lowest_number():
    assert insertion_deletion.order_of(np.array([1.0, 3, 1, 3])).tolist() == [1, 3, 0, 2]


def test_on_pico_the_oracle_explains_the_answer_that_was_given():
    case = open_case(CaseRequest.make("pico", scenes.make(3).image, "what is in the middle ?"))
    full = answers.full_run(case)
    words = [token for token in full.tokens if token not in case.decoder.eos]
    probe = AblationScorer(case.decoder, case.prompt(), words)
    n = case.size.tokens
    logits = torch.from_numpy(full.logits[: len(words)])
    expected = np.log(fidelity.probability(logits, words))
    assert float(probe.log_prob_ablated(torch.ones(1, n))) == pytest.approx(expected, abs=1e-4)
