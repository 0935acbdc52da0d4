"""Outliers: tokens whose score sticks out of all others, and an even grid beside them.

The step of PruMerge (its official code: 42Shawn/LLaVA-PruMerge @097c041). Knows scores; not what
they mean, nor what becomes of those that are chosen.
"""

from __future__ import annotations

import torch
from torch import Tensor

SPARSER = 3  # the grid has so many tokens for one outlier


def outliers(scores: Tensor) -> int:
    """Count the scores [n] above the upper whisker of a box plot, at least 1."""
    low, high = torch.quantile(scores, scores.new_tensor([0.25, 0.75])).tolist()
    return max(1, int((scores > high + 1.5 * (high - low)).sum()))


def grid_step(n: int, amount: Tensor | int) -> Tensor | int:
    """Tell how far apart the tokens of a grid of n are that goes with so many outliers."""
    return n // amount // SPARSER


def with_grid(order: Tensor, amount: int) -> Tensor:
    """Give the first `amount` of an order [n], then the grid's other tokens, ascending."""
    n, top = len(order), order[:amount]
    grid = torch.arange(0, n - 1, grid_step(n, amount), device=order.device)
    return torch.cat([top, grid[~torch.isin(grid, top)]])


def most_with_grid(order: Tensor, count: int) -> int:
    """Tell for how many outliers they and their grid are at most `count` tokens; 0 for none."""
    n = len(order)
    amount = torch.arange(1, n // SPARSER + 1, device=order.device)
    step = grid_step(n, amount)
    beside = (order % step[:, None] != 0) | (order == n - 1)  # the last token is never on it
    outside = beside.cumsum(1).gather(1, amount[:, None] - 1)[:, 0]
    fitting = amount[(n - 2 + step) // step + outside <= count]
    return int(fitting[-1]) if len(fitting) else 0


def centres(scores: Tensor, count: int, grid: bool) -> Tensor:
    """Give `count` tokens of scores [n]: outliers, a grid beside them or not, and who follows."""
    falling = scores.argsort(descending=True, stable=True)
    amount = most_with_grid(falling, count) if grid else 0
    chosen = with_grid(falling, amount) if amount else falling[:count]
    others = falling[~torch.isin(falling, chosen)]
    return torch.cat([chosen, others[: count - len(chosen)]])
