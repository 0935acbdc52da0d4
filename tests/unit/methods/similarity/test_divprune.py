"""What DivPrune does."""

from __future__ import annotations

import torch
from random_signals import WIDTH, grid
from torch import Tensor

from explorer.methods.signals import Signals, Stage
from explorer.methods.similarity import divprune
from explorer.methods.similarity.divprune import DivPrune


def farthest_first(x: Tensor) -> list[int]:
    """Algorithm 1 of DivPrune, spelled out with loops."""
    x = x.double()
    n = len(x)

    def distance(i: int, j: int) -> float:
        return float(1 - x[i] @ x[j] / (x[i].norm() * x[j].norm()))

    order = [max(range(n), key=lambda i: min(distance(i, j) for j in range(n) if j != i))]
    while len(order) < n:
        rest = [i for i in range(n) if i not in order]
        order.append(max(rest, key=lambda i: min(distance(i, j) for j in order)))
    return order


def test_divprune_chooses_farthest_first_from_the_most_isolated_token():
    x = torch.randn(12, WIDTH, generator=torch.Generator().manual_seed(3)) + 0.5
    assert divprune.order(x).tolist() == farthest_first(x)
    score = DivPrune().score(Signals(grid(3, 4), x))
    assert score.argsort(descending=True).tolist() == farthest_first(x)
    assert (score.max(), score.min()) == (1, 0)


def test_divprune_takes_one_of_each_before_any_duplicate():
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [-1.0, 0.0]])
    assert DivPrune().keep(Signals(grid(1, 5), x), Stage(0, 3)).index.tolist() == [0, 2, 4]
