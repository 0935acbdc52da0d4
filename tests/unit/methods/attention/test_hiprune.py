"""What HiPrune does, on a grid that fits on a page."""

from __future__ import annotations

import torch
from random_signals import tower_signals

from explorer.methods.attention.hiprune import HiPrune
from explorer.methods.signals import Stage

DEEP = torch.linspace(1, 0, 25)  # of equals of nothing: the first patches are used as notes most


def parts(anchor: int, wrap: bool) -> tuple[list[int], list[int]]:
    """Anchors and buffers, and registers, of a grid of 5 x 5 with a single anchor."""
    middle = torch.zeros(25).index_fill_(0, torch.tensor(anchor), 1)
    method = HiPrune(alpha=0.5, wrap=wrap)
    first, anchored, registers = method.parts(middle, DEEP, 10, 5)
    assert first.tolist() == [anchor]
    return anchored.tolist(), registers.tolist()


def test_an_anchor_brings_its_neighbours_and_registers_fill_up():
    assert parts(12, True) == ([7, 11, 12, 13, 17], [0, 1, 2, 3, 4])


def test_at_a_border_the_code_wraps_and_clamps():
    assert parts(9, True)[0] == [4, 8, 9, 10, 14], "the first patch of the next row"
    assert parts(2, True)[0] == [0, 1, 2, 3, 7], "the corner stands in for a patch above"
    assert parts(22, True)[0] == [17, 21, 22, 23, 24]
    assert parts(9, False)[0] == [4, 8, 9, 14]
    assert parts(2, False)[0] == [1, 2, 3, 7]
    assert parts(24, False) == ([19, 23, 24], [0, 1, 2, 3, 4, 5, 6])


def test_the_number_of_anchors_follows_the_budget():
    middle, deep = torch.rand(576), torch.rand(576)
    published = {192: 4, 128: 3, 64: 1, 32: 1, 25: 0}
    for budget, anchors in published.items():
        assert len(HiPrune().parts(middle, deep, budget, 24)[0]) == anchors
    for budget in range(1, 577, 7):  # anchors and buffers never take more than there is
        _, anchored, registers = HiPrune(alpha=1.0).parts(middle, deep, budget, 24)
        assert len(anchored) + len(registers) == budget


def test_received_attention_counts_cls_as_one_of_the_queries():
    signals = tower_signals("square")
    rows = signals.patch_attention[0].sum(0) + signals.cls_attention[0].mean(0)
    assert torch.allclose(HiPrune().score(signals), rows / 26)
    without = tower_signals("square", cls=False)
    assert torch.allclose(HiPrune().score(without), without.patch_attention[0].mean(0))


def test_every_view_gets_the_same_share():
    signals = tower_signals("two views")
    kept = HiPrune(alpha=0.5).keep(signals, Stage(0, 15)).index
    assert signals.grid_position[kept, 0].bincount().tolist() == [8, 7]
