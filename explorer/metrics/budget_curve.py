"""Where an answer breaks over a ladder of budgets: K*, flips and the area under the curve."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def k_star(budgets: Sequence[int], same: Sequence[bool]) -> int | None:
    """Give K*: the smallest budget from which on every larger one gives the full answer.

    budgets ascending. None where the largest one already doesn't.
    """
    found = None
    for budget, agrees in zip(reversed(budgets), reversed(same), strict=True):
        if not agrees:
            break
        found = budget
    return found


def n_flips(same: Sequence[bool]) -> int:
    """Count how often the full answer comes or goes along the ladder; 1 is a clean break."""
    return sum(a != b for a, b in pairwise(same))


def auc(budgets: Sequence[int], heights: Sequence[float]) -> float:
    """Give the mean height of a curve over the logarithm of its budgets, by trapezoids.

    As the plot draws it, every halving counts alike. 1 is the best; of a single budget its height.
    """
    x, y = np.log2(np.asarray(budgets, float)), np.asarray(heights, float)
    if len(x) == 1:
        return float(y[0])
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / (x[-1] - x[0]))
