"""Clusters that are bounded by a distance from their centre (distance-bounded density peaks).

The second half of PACT (orailix/PACT @cf9a0c9, transformers/PACT/utils.py, DBDPC). Knows distances;
not which tokens they are between, nor what becomes of the clusters.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

WIDTH = 2.0  # d_c, the distance over which density is counted


def distances(keys: Tensor) -> Tensor:
    """Give 1 - cosine of every two of keys [N, d], [N, N]; 0 on the diagonal."""
    unit = normalize(keys.float(), dim=1)
    return (1 - unit @ unit.T).clamp(min=0).fill_diagonal_(0)


def _by_density(distance: Tensor, survivors: Tensor) -> Tensor:
    """Order survivors by falling density, rho_i = sum_j exp(-(d_ij / d_c)^2); the lowest first."""
    among = distance[survivors][:, survivors]
    density = (-((among / WIDTH) ** 2)).exp().sum(1)
    return survivors[density.argsort(descending=True, stable=True)]


def _greedy(near: Tensor, most: int) -> list[int]:
    """Take, in order, everybody whom nobody taken before covers; near [S, S]. At most most + 1.

    Sets are whole numbers with a bit for each member: a step takes no time then.
    """
    rows = np.packbits(near.cpu().numpy(), axis=1, bitorder="little")
    free, taken = (1 << len(near)) - 1, []
    while free and len(taken) <= most:
        taken.append((free & -free).bit_length() - 1)
        free &= ~int.from_bytes(rows[taken[-1]].tobytes(), "little")
    return taken


def centres(distance: Tensor, survivors: Tensor, cutoff: float) -> Tensor:
    """Give those that no denser centre is within a cutoff of, ascending.

    The code finds them in parallel rounds; it is this greedy pass.
    """
    order = _by_density(distance, survivors)
    near = distance[order][:, order] <= cutoff
    return order[_greedy(near, len(order))].sort().values


def gathered(distance: Tensor, centre: Tensor, reach: float) -> Tensor:
    """Tell the nearest centre of every token, if it is within reach, [N]; -1 for the others."""
    least, group = distance[:, centre].min(1)
    group = torch.where(least <= reach, group, -1)
    group[centre] = torch.arange(len(centre), device=group.device)
    return group


def cutoff_for(distance: Tensor, survivors: Tensor, count: int) -> float:
    """Find the smallest distance of two survivors that gives `count` centres at most."""
    order = _by_density(distance, survivors)
    among = distance[order][:, order].cpu()
    known = among.unique()  # ascending; the largest of them leaves a single centre

    def enough(at: int) -> bool:
        return len(_greedy(among <= known[at], count)) <= count

    low, high = 0, len(known) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    while low > 0 and enough(low - 1):  # fewer centres at a larger cutoff are not certain
        low -= 1
    return float(known[low])
