"""Volume: choose vectors one by one so that they span as large a volume as possible.

Greedy MAP inference of a determinantal point process, by the fast rule of Chen et al., "Fast Greedy
MAP Inference for Determinantal Point Process to Improve Recommendation Diversity", 2018. The step
that CDPruner takes. Knows a kernel matrix only: not what its rows stand for.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SPENT = 1e-6  # a growth below this share of the first one is rounding: the rank is used up


def widest(kernel: Tensor) -> Tensor:
    """Order the rows of a kernel [n, n]: each adds most to the determinant of those before it.

    Stops where no row adds anything, which is at the latest when the rank is used up; [<= n].
    """
    # differs: float64 where the official run is float32, to tell where the rank is used up;
    # numpy: calls on so few numbers take torch several times as long
    known = kernel.double().cpu().numpy()
    growth, rows, chosen = known.diagonal().copy(), np.zeros_like(known), []
    least = SPENT * growth.max()
    while len(chosen) < len(known):
        pick = int(growth.argmax())  # of equals the lowest index
        if growth[pick] <= least:
            break
        done = len(chosen)
        # the part of every vector along the direction that this one adds (a row of Cholesky's)
        row = (known[pick] - rows[:done, pick] @ rows[:done]) / np.sqrt(growth[pick])
        rows[done] = row
        growth -= row**2
        growth[pick] = -np.inf
        chosen.append(pick)
    return torch.tensor(chosen, dtype=torch.long, device=kernel.device)
