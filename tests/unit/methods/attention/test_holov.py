"""What HoloV does, on strips that fit on a page."""

from __future__ import annotations

import torch
from random_signals import NEWLINES, grid, tower_signals

from explorer.methods.attention.holov import HoloV, holistic, strip_count
from explorer.methods.ops import strips
from explorer.methods.signals import Signals, Stage


def signals_of(attention: list[float]) -> Signals:
    n = len(attention)
    return Signals(
        grid(1, n),
        torch.eye(n),
        patches=torch.arange(n)[:, None],
        cls_attention=torch.tensor(attention)[None, None],
    )


def test_the_number_of_strips_follows_the_budget():
    assert [strip_count(576, budget) for budget in (64, 128, 192, 576)] == [16, 8, 5, 1]
    assert [strip_count(196, budget) for budget in (64, 16, 1)] == [5, 21, 196]
    for n, count in ((10, 3), (9, 3), (5, 5), (1, 1)):
        pieces = strips.runs(torch.zeros(n), count)
        sizes = [at.shape[1] for at in pieces for _ in at]
        assert sorted(sizes, reverse=True) == sizes and len(sizes) == count
        assert torch.cat([at.flatten() for at in pieces]).tolist() == list(range(n))


def test_a_strip_gets_its_part_of_the_attention():
    share = torch.tensor([0.5, 0.25, 0.25])
    assert strips.quotas(share, 8).tolist() == [4, 2, 2]
    assert strips.quotas(share, 7).tolist() == [4, 2, 1], "what is over goes to the largest shares"
    size = torch.tensor([3, 3, 3])
    assert strips.filled(torch.tensor([5, 2, 0]), size, share, 7).tolist() == [3, 3, 1]


def test_an_eye_catcher_does_not_take_everything():
    # two strips of three; the first has 6/7 of the attention
    signals = signals_of([0.1, 0.4, 0.1, 0.02, 0.03, 0.05])
    at = strips.runs(torch.zeros(6), 2)
    order = HoloV().order(signals.features, HoloV().score(signals), at, 4)
    assert order.tolist() == [0, 1, 2, 5], "a full strip as it stands; the fourth goes to the other"
    assert HoloV().order(signals.features, HoloV().score(signals), at, 2).tolist() == [1, 0]


def test_variance_matters_to_the_papers_rule_alone():
    # a strip of equal attention: a patch among doubles is like some and unlike others
    x = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0.7, 0.7]])
    h = holistic(x[None], torch.full((1, 4), 0.1))
    assert h.max() > h.min() and torch.isclose(h.mean(), torch.tensor(1.09 * 1000 * 0.1), rtol=1e-4)
    signals, at = signals_of([0.1] * 4), strips.runs(torch.zeros(4), 1)
    best = int(h[0].argmax())
    assert HoloV(select="holistic").order(x, HoloV().score(signals), at, 1).tolist() == [best]
    assert HoloV().order(x, HoloV().score(signals), at, 1).tolist() == [0]


def test_newlines_come_in_behind_all_patches():
    signals = tower_signals("newlines")
    assert (NEWLINES[HoloV().keep(signals, Stage(0, 16)).index, 0] >= 0).all()
    kept = HoloV().keep(signals, Stage(0, 18)).index
    assert (NEWLINES[kept, 0] < 0).sum() == 2
