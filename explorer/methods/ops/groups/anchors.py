"""Anchors: tokens that are like many others, and unlike each other; the rest gather around them.

The merging step of RESTORE (cvlab-yonsei/RESTORE @9b27e68, tokenreduction/tore/merge.py,
distinctive_anchor_merging). Does not know who was kept before, nor what a group becomes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.ops.merging import group_tokens, in_token_order
from explorer.methods.signals import top


def anchors(cosine: Tensor, count: int, rivals: str) -> Tensor:
    """Give the `count` tokens that are dense and unlike all sparser ones, ascending.

    cosine [M, M] of every two tokens; rivals: "denser" for unlike all denser ones.
    """
    density = cosine.sum(1)
    # as in the code, whose names say the opposite
    rival = density[None] < density[:, None]
    if rivals == "denser":
        rival = density[None] > density[:, None]
    likest = cosine.masked_fill(~rival, -torch.inf).amax(1)
    return top(density * (1 - torch.where(rival.any(1), likest, 0)), count)


def around_anchors(
    features: Tensor, others: Tensor, count: int, rivals: str
) -> tuple[Tensor, Tensor]:
    """Gather the tokens `others` of features [N, D] into `count` groups, by their cosines.

    Returns the group of every token [N], -1 for one that isn't in `others`, and the median member
    of every group [count], the lower of two; groups are numbered in its order.
    """
    unit = normalize(features[others].float(), dim=1)
    cosine = unit @ unit.T
    anchor = anchors(cosine, count, rivals)
    joins = cosine[:, anchor].argmax(1)
    joins[anchor] = torch.arange(count, device=joins.device)
    centre = others[group_tokens(joins, median=True)]
    group = torch.full((len(features),), -1, device=others.device)
    group[others] = in_token_order(joins, median=True)
    return group, centre.sort().values
