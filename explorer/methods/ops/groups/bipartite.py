"""Bipartite soft matching: merge the pairs of a list that are most alike, down to a wanted number.

The step of ToMe (its official code: facebookresearch/ToMe @af95e4b, tome/merge.py), repeated as in
VideoChat-Flash; AIM's rounds are a little smaller and forget how much a group holds. Knows what
tokens are compared by; not what becomes of a group.
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


def unlike(metric: Tensor) -> Tensor:
    """Give 1 - the highest cosine of each token of metric [n, d] with another one, [n]."""
    unit = normalize(metric, dim=1)
    return 1 - (unit @ unit.T).fill_diagonal_(-1).amax(1)


def thinned(rows: Tensor) -> list[tuple[Groups, Tensor]]:
    """Merge n / 2, n / 4, n / 8 ... of a list of rows [n, C], as AIM does; all the lists.

    A mean counts in the next round as one token, however many it holds: beside each list stands
    the share [n] that every token has of its group. Behind n / 2^i = 1, one pair a round.
    """
    n = len(rows)
    groups = Groups(rows, rows.new_ones(n), torch.arange(n, device=rows.device))
    lists, going = [(groups, rows.new_ones(n))], n // 2
    while len(lists[-1][0].size) > 1:
        lists.append(_alike(*lists[-1], min(max(1, going), len(lists[-1][0].size) // 2)))
        going //= 2
    return lists


def thinned_down(lists: list[tuple[Groups, Tensor]], count: int) -> tuple[Tensor, Tensor]:
    """Give each token's group of `count`, [n], and the share that it has of it, [n].

    The last round merges what is left over of its number; `lists` are those of `thinned`.
    """
    groups, share = [each for each in lists if len(each[0].size) >= count][-1]
    going = len(groups.size) - count
    if going:
        groups, share = _alike(groups, share, going)
    return groups.group, share


def _alike(groups: Groups, share: Tensor, going: int) -> tuple[Groups, Tensor]:
    """Do one round in which every token of the list counts as one."""
    metric, size, group = merged(groups, going)
    return Groups(metric, torch.ones_like(size), group), share / size[group]
