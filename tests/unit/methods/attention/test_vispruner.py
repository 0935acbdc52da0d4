"""What VisPruner does, on lists that fit on a page."""

from __future__ import annotations

import torch
from random_signals import tower_signals
from torch.nn.functional import normalize

from explorer.methods.attention.vispruner import VisPruner, diverse
from explorer.methods.signals import Stage, top

ANGLES = torch.tensor([0.0, 0.1, 1.5, 2.0, 0.05, 3.0])
X = torch.stack([ANGLES.cos(), ANGLES.sin()], 1)


def cosines(x: torch.Tensor) -> torch.Tensor:
    unit = normalize(x, dim=1)
    return unit @ unit.T


def test_the_nearest_doubles_of_the_first_half_leave():
    # 0, 2, 4 meet 1, 3, 5: 0 (0.1 from 1) and 4 (0.05 from 1) leave, 2 (0.5 from 3) goes first
    assert diverse(torch.arange(6), cosines(X), 4).tolist() == [2, 1, 3, 5]


def test_a_pass_lets_eight_leave_and_the_next_one_splits_anew():
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))
    cosine, left = cosines(x), list(range(40))
    for leaving in (8, 8, 5):
        a, b = left[::2], left[1::2]
        likeness = {token: max(float(cosine[token, other]) for other in b) for token in a}
        left = sorted(a, key=lambda token: -likeness[token])[leaving:] + b
    assert diverse(torch.arange(40), cosine, 19).tolist() == left


def test_odd_lists_and_short_ones_are_weeded_too():
    for n, count in ((5, 2), (7, 1), (6, 2), (1, 1), (3, 0)):
        x = torch.randn(n, 4, generator=torch.Generator().manual_seed(n))
        assert len(diverse(torch.arange(n), cosines(x), count)) == count


def test_with_all_of_the_budget_for_attention_it_is_cls_attention():
    signals = tower_signals("square")
    seen = signals.cls_attention[0].mean(0)
    kept = VisPruner(important_ratio=1.0).keep(signals, Stage(0, 9)).index
    assert kept.tolist() == top(seen, 9).tolist()
    half = VisPruner().keep(signals, Stage(0, 9)).index
    assert set(top(seen, 4).tolist()) <= set(half.tolist())


def test_every_view_gets_the_same_share():
    signals = tower_signals("two views")
    for budget, shares in ((10, [5, 5]), (7, [4, 3]), (1, [1, 0])):
        kept = VisPruner().keep(signals, Stage(0, budget)).index
        assert signals.grid_position[kept, 0].bincount(minlength=2).tolist() == shares
