"""What G-Prune does: information flows to neighbours, and is shared by their number."""

from __future__ import annotations

import torch
from random_signals import grid

from explorer.methods.signals import Signals, Stage
from explorer.methods.similarity.gprune import GPrune


def test_what_flows_is_never_lost():
    x = torch.randn(15, 4, generator=torch.Generator().manual_seed(1))
    for steps in (1, 5):
        score, degree = GPrune(steps=steps).flow(x)
        assert torch.allclose((score * degree).sum(), x.norm(dim=1).sum(), rtol=1e-5)


def test_two_of_a_kind_share_what_one_alone_keeps():
    score, degree = GPrune().flow(torch.tensor([[2.0, 0], [2, 0], [0, 2]]))
    assert degree.tolist() == [2, 2, 1]
    assert torch.allclose(score, torch.tensor([1.0, 1, 2]))


def test_one_step_by_hand():
    """Two tokens at 45 degrees: each keeps exp(1/T) and hands on exp(cos/T), both shared out."""
    x, t = torch.tensor([[1.0, 0], [3, 3]]), 0.5
    own, other = torch.tensor([1 / t, 0.5**0.5 / t]).softmax(0)
    a, b = x.norm(dim=1)
    score, degree = GPrune(temperature=t, steps=1).flow(x)
    assert degree.tolist() == [2, 2]
    assert torch.allclose(score, torch.stack([a * own + b * other, a * other + b * own]) / 2)


def test_thumbnail_and_crops_keep_the_same_share_and_newlines_stay():
    place = torch.cat([grid(2, 2), torch.tensor([[-1, -1, -1]]), grid(2, 4, 1)])
    x = torch.randn(13, 5, generator=torch.Generator().manual_seed(4))
    x[:4] *= 100  # the thumbnail's tokens are much longer, and still get only their share
    kept = GPrune().keep(Signals(place, x), Stage(0, 7)).index
    views = place[kept, 0].tolist()
    assert (views.count(-1), views.count(0), views.count(1)) == (1, 2, 4)


def test_newlines_rank_above_all_and_stay_on_the_colour_scale():
    place = torch.cat([grid(2, 2), torch.tensor([[-1, -1, -1]])])
    for x in (torch.randn(5, 3, generator=torch.Generator().manual_seed(4)), torch.zeros(5, 3)):
        score = GPrune().score(Signals(place, x))
        assert score[4] > score[:4].max()
        assert score[4] < 1.1 * score[:4].max() + 0.1
        assert GPrune().keep(Signals(place, x), Stage(0, 1)).index.tolist() == [4]


def test_steps_are_powers_of_the_matrix_spelled_out_with_loops():
    x, t = torch.randn(7, 3, generator=torch.Generator().manual_seed(8)).double(), 0.2
    unit = x / x.norm(dim=1, keepdim=True)
    a = torch.zeros(7, 7).double()
    for i in range(7):
        near = [j for j in range(7) if unit[i] @ unit[j] >= 0.3 or i == j]
        total = sum((unit[i] @ unit[k] / t).exp() for k in near)
        for j in near:
            a[i, j] = (unit[i] @ unit[j] / t).exp() / total
    neighbours = (a > 0).sum(1)
    expected = x.norm(dim=1) @ torch.linalg.matrix_power(a, 3) / neighbours
    score, degree = GPrune(similarity=0.3, temperature=t, steps=3).flow(x)
    assert degree.tolist() == neighbours.tolist()
    assert torch.allclose(score.double(), expected, rtol=1e-5)
