"""What ToDRE does, by the example and the equations of its text, spelled out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from made_signals import grid, inner_signals, tower_signals

from explorer.methods import todre
from explorer.signals import Signals, Size, Stage

X = torch.tensor([[1, 0], [0.9, 0.1], [0, 1], [-0.1, 1], [-1, 0.1], [-0.95, -0.2]])


def test_the_sum_of_similarities_decides_or_the_nearest_kept_one():
    assert todre.order(X, 0).tolist()[:5] == [0, 4, 5, 1, 3]
    assert todre.order(X, 0, "k-center").tolist()[:5] == [0, 4, 2, 5, 1]


def test_max_sum_spelled_out_with_loops():
    x = torch.randn(10, 5, generator=torch.Generator().manual_seed(5))
    unit = (x / x.norm(dim=1, keepdim=True)).double()
    chosen = [3]
    while len(chosen) < 10:
        rest = [v for v in range(10) if v not in chosen]
        chosen.append(min(rest, key=lambda v: sum(float(unit[v] @ unit[c]) for c in chosen)))
    assert todre.order(x, 3).tolist() == chosen


def test_the_pivot_is_what_cls_looks_at_in_the_last_layer():
    signals = tower_signals("square")
    assert todre.pivot(signals) == int(signals.last_cls_attention[0].mean(0).argmax())
    two = tower_signals("two views")
    assert todre.pivot(two) < 12, "the thumbnail's tokens only"


def test_without_cls_the_pivot_is_the_token_nearest_to_the_mean():
    signals = Signals(grid(1, 3), torch.tensor([[1.0, 0], [1, 1], [0, 1]]))
    assert todre.pivot(signals) == 1


def test_stage_two_stands_at_seven_eighths():
    assert todre.schedule(Size(576, 32, 24), 64) == [Stage(0, 64), Stage(28, 0, optional=True)]
    assert todre.schedule(Size(196, 12, 14), 64)[1].layer == 10
    assert todre.schedule(Size(196, 12, 14), 64, late=False) == [Stage(0, 64)]
    assert todre.schedule(Size(196, 2, 14), 64) == [Stage(0, 64)], "there is no such layer"


@pytest.mark.parametrize(
    ("to_picture", "to_text", "left"), [(0.05, 0.0, 0), (0.2, 0.0, 6), (0.05, 0.3, 6)]
)
def test_all_leave_when_neither_side_looks_at_the_other(to_picture, to_text, left):
    signals = inner_signals(grid(2, 3), "random", 10)
    heads, tail, n = signals.tail_attention.shape
    signals = replace(
        signals,
        tail_attention=torch.full((heads, tail, n), to_picture / n),
        visual_to_tail=torch.full((n,), to_text),
    )
    assert todre.migration(signals) == pytest.approx((to_picture, to_text))
    assert len(todre.keep(signals, Stage(10, 0, optional=True)).index) == left
