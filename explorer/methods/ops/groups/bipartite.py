"""Bipartite soft matching: merge the pairs of a list that are most alike, down to a wanted number.

The step of ToMe (its official code: facebookresearch/ToMe @af95e4b, tome/merge.py), repeated as in
VideoChat-Flash. Knows what tokens are compared by; not what becomes of a group.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize


class Groups(NamedTuple):
    """A list of p groups: their mean metric [p, d] and size [p], and each token's group [n]."""

    metric: Tensor
    size: Tensor
    group: Tensor


def matched(metric: Tensor) -> tuple[Tensor, Tensor]:
    """Give each of the tokens 0, 2, 4, ... of metric [p, d] its most similar one of 1, 3, 5, ...

    Returns the highest cosine [ceil(p / 2)] and which odd token has it, counted from 0.
    """
    unit = normalize(metric, dim=1)
    cosine = unit[::2] @ unit[1::2].T
    match = cosine.argmax(1)  # of equals the first
    return cosine.gather(1, match[:, None])[:, 0], match


def merged(groups: Groups, going: int) -> Groups:
    """Merge the `going` best pairs of a list, at most half of it; one round."""
    metric, size, group = groups
    best, match = matched(metric)
    order = best.argsort(descending=True, stable=True)
    gone, stay = order[:going], order[going:]
    # in the new list: those of the first half that stay, in falling likeness, then the second half
    place = torch.empty_like(size, dtype=torch.long)
    place[2 * stay] = torch.arange(len(stay), device=size.device)
    place[1::2] = len(stay) + torch.arange(len(size) // 2, device=size.device)
    place[2 * gone] = len(stay) + match[gone]
    left = len(size) - going
    sums = metric.new_zeros(left, metric.shape[1]).index_add_(0, place, size[:, None] * metric)
    size = size.new_zeros(left).index_add_(0, place, size)
    return Groups(sums / size[:, None], size, place[group])


def halvings(metric: Tensor) -> list[Groups]:
    """Merge half of a list of metric [n, d], again and again, down to one group; all the lists."""
    n = len(metric)
    lists = [Groups(metric, metric.new_ones(n), torch.arange(n, device=metric.device))]
    while len(lists[-1].size) > 1:
        lists.append(merged(lists[-1], len(lists[-1].size) // 2))
    return lists


def merged_down(lists: list[Groups], count: int) -> Tensor:
    """Tell which of `count` groups each token ends up in, [n], in the order of the last list.

    All rounds but the last halve the list, whatever the count, so `lists` are those of `halvings`.
    """
    groups = [each for each in lists if len(each.size) >= count][-1]
    going = len(groups.size) - count
    return merged(groups, going).group if going else groups.group


def means(rows: Tensor, group: Tensor, count: int) -> Tensor:
    """Give the mean of the rows [n, C] of each group, [count, C]; none is empty."""
    sums = rows.new_zeros(count, rows.shape[1]).index_add_(0, group, rows)
    return sums / group.bincount(minlength=count)[:, None]
