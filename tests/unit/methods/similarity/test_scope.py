"""What SCOPE does, on pictures that fit on a page."""

from __future__ import annotations

import torch
from random_signals import grid, tower_signals

from explorer.methods.signals import Signals, Stage
from explorer.methods.similarity.scope import SCOPE

# three of a kind, two of another, and one alone
KINDS = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])


def signals_of(hidden: torch.Tensor, attention: torch.Tensor) -> Signals:
    n = len(hidden)
    return Signals(
        grid(1, n),
        hidden,
        patches=torch.arange(n)[:, None],
        cls_attention=attention[None, None],
        hidden=hidden[None],
    )


def test_a_kind_that_is_covered_adds_nothing_more():
    even = signals_of(KINDS, torch.full((6,), 0.1))
    assert SCOPE().order(even).tolist() == [0, 3, 5, 1, 2, 4]


def test_saliency_decides_among_equals_and_outweighs_coverage():
    attention = torch.tensor([0.01, 0.02, 0.01, 0.01, 0.01, 0.9])
    assert SCOPE().order(signals_of(KINDS, attention))[:2].tolist() == [5, 1]
    assert SCOPE(alpha=0.0).order(signals_of(KINDS, attention))[:3].tolist() == [0, 3, 5]


def test_the_lazy_order_is_the_greedy_order():
    generator = torch.Generator().manual_seed(4)
    x, attention = torch.randn(60, 8, generator=generator), torch.rand(60, generator=generator)
    unit = torch.nn.functional.normalize(x.double(), dim=1)
    cosine, weight = unit @ unit.T, attention.double()
    for combined in ("multi", "add"):
        cover, chosen = torch.zeros(60).double(), []
        for _ in range(60):
            gain = (cosine - cover).clamp(min=0).sum(1)
            value = gain * weight if combined == "multi" else gain + weight
            value[chosen] = -torch.inf
            chosen.append(int(value.argmax()))
            cover = torch.maximum(cover, cosine[chosen[-1]])
        assert SCOPE(combined=combined).order(signals_of(x, attention)).tolist() == chosen


def test_every_view_gets_the_same_share():
    signals = tower_signals("two views")
    kept = SCOPE().keep(signals, Stage(0, 10)).index
    assert signals.grid_position[kept, 0].bincount().tolist() == [5, 5]


def test_without_cls_saliency_is_the_attention_received():
    signals = tower_signals("square", cls=False)
    received = signals.patch_attention[0].mean(0)
    expected = SCOPE().order(signals_of(signals.hidden[0], received))
    assert SCOPE().order(signals).tolist() == expected.tolist()
