"""Captum's values add up to what the picture is worth, and tell of their progress."""

from __future__ import annotations

import pytest
import torch
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.analyses.attribution import captum_methods
from explorer.inference.ablation import AblationScorer

N, ANSWER = 16, [5, 9, 11]


@pytest.fixture(params=[4, 2], ids=["heads", "grouped"])
def probe(request) -> AblationScorer:
    return AblationScorer(taken_apart(tiny_llama(request.param)), random_prompt(visual=N), ANSWER)


def test_leaving_one_out_is_what_it_says(probe):
    found = captum_methods.leave_one_out(probe.log_prob_ablated, N, per_call=5)
    full = float(probe.log_prob_ablated(torch.ones(1, N)))
    for token in (0, 7, 15):
        present = torch.ones(1, N)
        present[0, token] = 0
        assert float(found[token]) == pytest.approx(
            full - float(probe.log_prob_ablated(present)), abs=5e-5
        )


def test_shapley_values_add_up_to_what_the_picture_is_worth(probe):
    groups = torch.arange(N) // 4
    found = captum_methods.shapley(probe.log_prob_ablated, torch.ones(1, N), 0, groups, samples=3)
    assert found.shape == (4,)
    worth = float(
        probe.log_prob_ablated(torch.ones(1, N)) - probe.log_prob_ablated(torch.zeros(1, N))
    )
    assert float(found.sum()) == pytest.approx(worth, abs=1e-4)
    again = captum_methods.shapley(probe.log_prob_ablated, torch.ones(1, N), 0, groups, samples=3)
    assert torch.equal(found, again), "seeded"


def test_integrated_gradients_add_up_but_for_the_delta(probe):
    with torch.no_grad():
        base = probe.log_prob_replaced(captum_methods.baseline_tokens(probe.tokens, "mean"))
        worth = float(probe.log_prob_replaced(probe.tokens) - base)
    deltas = []
    for steps in (20, 400):
        found, delta = captum_methods.integrated(
            probe.log_prob_replaced, probe.tokens, "mean", steps
        )
        assert float(found.sum()) - worth == pytest.approx(delta, abs=1e-4)
        deltas.append(abs(delta))
    assert deltas[1] < max(0.01 * abs(worth), 0.2 * deltas[0])


def test_progress_is_told_and_may_stop_the_work(probe):
    told = []
    captum_methods.leave_one_out(
        probe.log_prob_ablated, N, 4, lambda done, total: told.append((done, total))
    )
    assert told[0] == (1, N + 1) and told[-1] == (N + 1, N + 1)
    assert [done for done, _ in told] == sorted(done for done, _ in told)

    class Cancelled(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done > 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        captum_methods.leave_one_out(probe.log_prob_ablated, N, 4, stop)
