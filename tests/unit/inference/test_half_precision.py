"""In bfloat16 methods keep what they keep in float32, but for tokens that score nearly the same."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_shapes import LLAVA, SMOLVLM, small

from explorer import analyses
from explorer.cases.request import CaseRequest
from explorer.inference.vision import project
from explorer.methods import catalog
from explorer.pico.data import scenes

QUESTION = "what is in the middle ?"
TIE = 0.03  # of the largest score: few layers, each with roundings of up to 0.4 percent
GREEDY = (
    "vispruner divprune zooprune mmtok scope restore dart todre gprune corematching pact".split()
)
"""They choose one token after the other, or count neurons: what a tie changes is no small gap."""
SCENES = {LLAVA: 1, SMOLVLM: 2}
"""Where IVC-Prune's seeds, by which it scores all others, are no tie on any processor tried."""


def request_of(vlm, seed=1):
    return CaseRequest.make(vlm, scenes.make(seed).image.resize((90, 60)), QUESTION)


@pytest.mark.parametrize("key", [LLAVA, SMOLVLM])
def test_kept_sets_differ_in_ties_alone(key):
    half = small(key, torch.bfloat16)
    single = replace(half, model=deepcopy(half.model).float())
    ours, theirs = (analyses.analyse(request_of(vlm, SCENES[key])) for vlm in (half, single))
    tokens = theirs.grid.count
    for mine, exact in zip(ours.methods, theirs.methods, strict=True):
        assert mine.score.dtype == np.float32 and mine.spec == exact.spec
        kept, wanted = (set(kept_of(each, tokens // 2)) for each in (mine, exact))
        swapped = sorted(kept ^ wanted)
        if mine.spec.partition(":")[0] in GREEDY:
            assert len(swapped) <= 2, mine.spec
        elif swapped:
            assert np.ptp(exact.score[swapped]) < TIE * np.abs(exact.score).max(), mine.spec


@pytest.mark.parametrize("key", [LLAVA, SMOLVLM])
def test_methods_that_are_slow_have_maps_and_answers_too(key):
    half = small(key, torch.bfloat16)
    request = request_of(half)
    slow = [method.spec for method in catalog.choices() if method.slow]
    assert "aim" in slow
    for spec in slow:
        drawn = analyses.draw(request, spec)
        assert drawn.score.dtype == np.float32 and np.isfinite(drawn.score).all(), spec
        budget = drawn.ladder[-2]
        assert analyses.answer(request, spec, budget).budget == budget, spec


def kept_of(method_map, budget):
    if method_map.order is not None:
        return method_map.order[: method_map.keeps[budget - 1]].tolist()
    nearest = min(method_map.points, key=lambda point: abs(point.budget - budget))
    return nearest.stages[-1].kept.tolist()


def test_projecting_in_float32_leaves_the_model_alone_for_who_else_runs_it():
    linear = torch.nn.Linear(4, 3, dtype=torch.bfloat16)
    during = []
    linear.register_forward_hook(lambda *_: during.append(linear.weight.dtype))
    x = torch.randn(5, 4)
    given = project(linear, torch.bfloat16, x)
    assert during == [torch.bfloat16] and given.dtype == torch.float32
    assert torch.equal(given, x @ linear.weight.float().T + linear.bias.float())
