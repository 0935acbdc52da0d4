"""What VisionDrop does."""

from __future__ import annotations

import pytest
import torch
from random_signals import grid, inner_signals

from explorer.methods.several_stages.visiondrop import VisionDrop
from explorer.methods.signals import Size, Stage


@pytest.mark.parametrize("layers", [32, 12])
@pytest.mark.parametrize(
    ("budget", "totals"),
    [
        (32, [48, 35, 26, 19]),
        (64, [96, 70, 52, 38]),
        (128, [192, 141, 103, 76]),
        (192, [288, 211, 155, 114]),
    ],
)
def test_visiondrop_reproduces_the_published_schedule_and_those_derived_from_it(
    budget, totals, layers
):
    stages = VisionDrop().schedule(Size(576, layers, 24), budget)
    assert [stage.total for stage in stages] == totals
    assert [stage.layer for stage in stages] == [0, layers // 4, layers // 2, 3 * layers // 4]


def test_visiondrop_splits_one_contextual_token_off_every_eight():
    stages = VisionDrop().schedule(Size(576, 32, 24), 32)
    assert [(stage.keep, stage.merge) for stage in stages] == [
        (41, 1 + 6),  # CLS is one of the merged ones here
        (30, 5),
        (22, 4),
        (16, 3),
    ]


def test_visiondrop_in_the_llm_scores_by_the_attention_received_from_visual_tokens():
    signals = inner_signals(grid(1, 6), "random", 8)
    received = signals.visual_attention.mean(0)
    assert torch.allclose(VisionDrop().score(signals), received)
    kept = VisionDrop().keep(signals, Stage(8, 2, 1))
    assert kept.lead == 0
    target, *others = [i for i in range(6) if i not in kept.index]
    expected = signals.features[target] + signals.features[others].mean(0)
    assert torch.allclose(kept.merged[0], expected, atol=1e-6)
