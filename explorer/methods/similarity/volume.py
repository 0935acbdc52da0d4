"""Volume: choose vectors one by one so that they span as large a volume as possible.

Greedy MAP inference of a determinantal point process, by the fast rule of Chen et al., "Fast Greedy
MAP Inference for Determinantal Point Process to Improve Recommendation Diversity", 2018. The step
that CDPruner takes. Knows a kernel matrix only: not what its rows stand for.
"""

from __future__ import annotations

import torch
from torch import Tensor

SPENT = 1e-6  # a growth below this share of the first one is rounding: the rank is used up


def widest(kernel: Tensor) -> Tensor:
    """Order the rows of a kernel [n, n]: each adds most to the determinant of those before it.

    Stops where no row adds anything, which is at the latest when the rank is used up; [<= n].
    """
    # differs: float64 where the official run is float32, to tell where the rank is used up
    kernel = kernel.double()
    growth, rows, chosen = kernel.diagonal().clone(), torch.zeros_like(kernel), []
    least = SPENT * growth.max()
    while len(chosen) < len(kernel):
        pick = int(growth.argmax())  # of equals the lowest index
        if growth[pick] <= least:
            break
        done = len(chosen)
        # the part of every vector along the direction that this one adds (a row of Cholesky's)
        row = (kernel[pick] - rows[:done, pick] @ rows[:done]) / growth[pick].sqrt()
        rows[done] = row
        growth -= row**2
        growth[pick] = -torch.inf
        chosen.append(pick)
    return torch.tensor(chosen, dtype=torch.long, device=kernel.device)
