"""Strips: runs of tokens in reading order, and how they share a budget.

The step of HoloV (its official code: obananas/HoloV @1d2e65e, llava/model/utils.py). Knows scores
of strips; not how they came about, nor whom a strip keeps.
"""

from __future__ import annotations

import torch
from torch import Tensor


def runs(values: Tensor, count: int) -> list[Tensor]:
    """Cut the tokens of values [n] into c runs, the first p longer: [p, M + 1] and [c - p, M]."""
    at, length = torch.arange(len(values), device=values.device), len(values) // count
    longer = len(values) % count
    cut = longer * (length + 1)
    return [at[:cut].view(longer, length + 1), at[cut:].view(count - longer, length)]


def shares(score: Tensor) -> Tensor:
    """Give each strip its part of all scores, [c]."""
    return score / (score.sum() + 1e-6)


def quotas(share: Tensor, budget: int) -> Tensor:
    """Share the budget out, [c]: whole tokens, what is over one each to the largest shares."""
    quota = (share * budget).floor().long()
    return spread(quota, share, budget - int(quota.sum()), torch.ones_like(quota) * budget)


def filled(quota: Tensor, size: Tensor, share: Tensor, budget: int) -> Tensor:
    """Hand on what strips of `size` tokens can't hold, one each in falling share, [c]."""
    # differs: the code fills up with rows of zeros, which the language model reads as tokens
    quota = quota.minimum(size)
    return spread(quota, share, budget - int(quota.sum()), size)


def spread(quota: Tensor, share: Tensor, left: int, most: Tensor) -> Tensor:
    """Give `left` tokens, one each in falling share, to strips that have not got the most yet."""
    turn = share.argsort(descending=True, stable=True)
    while left > 0:
        open_ones = turn[quota[turn] < most[turn]][:left]
        quota = quota.index_add(0, open_ones, torch.ones_like(open_ones))
        left -= len(open_ones)
    return quota
