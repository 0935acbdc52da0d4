"""Bipartite soft matching: merge the pairs of a list that are most alike, down to a wanted number.

The step of ToMe (its official code: facebookresearch/ToMe @af95e4b, tome/merge.py), repeated as in
VideoChat-Flash. Knows what tokens are compared by; not what becomes of a group.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def matched(metric: Tensor) -> tuple[Tensor, Tensor]:
    """Give each of the tokens 0, 2, 4, ... of metric [p, d] its most similar one of 1, 3, 5, ...

    Returns the highest cosine [ceil(p / 2)] and which odd token has it, counted from 0.
    """
    unit = normalize(metric, dim=1)
    cosine = unit[::2] @ unit[1::2].T
    match = cosine.argmax(1)  # of equals the first
    return cosine.gather(1, match[:, None])[:, 0], match


def merged_down(metric: Tensor, count: int) -> tuple[Tensor, list[int]]:
    """Tell which of `count` groups each token of metric [n, d] ends up in, [n].

    Groups stand in the order in which the rounds leave them. Gives also how many tokens went in
    each round. A group's metric is the mean of its tokens' in every round.
    """
    n = len(metric)
    group, size, rounds = torch.arange(n, device=metric.device), metric.new_ones(n), []
    while len(size) > count:
        going = min(len(size) - count, len(size) // 2)
        best, match = matched(metric)
        order = best.argsort(descending=True, stable=True)
        gone, stay = order[:going], order[going:]
        # in the new list: tokens of the first half that stay, then the second half
        place = torch.empty_like(group[: len(size)])
        place[2 * stay] = torch.arange(len(stay), device=metric.device)
        place[1::2] = len(stay) + torch.arange(len(size) // 2, device=metric.device)
        place[2 * gone] = len(stay) + match[gone]
        left = len(size) - going
        sums = metric.new_zeros(left, metric.shape[1]).index_add_(0, place, size[:, None] * metric)
        size = size.new_zeros(left).index_add_(0, place, size)
        metric, group = sums / size[:, None], place[group]
        rounds.append(going)
    return group, rounds


def means(rows: Tensor, group: Tensor, count: int) -> Tensor:
    """Give the mean of the rows [n, C] of each group, [count, C]; none is empty."""
    sums = rows.new_zeros(count, rows.shape[1]).index_add_(0, group, rows)
    return sums / group.bincount(minlength=count)[:, None]
