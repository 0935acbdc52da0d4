"""How sure a share is, and whether two shares of the same questions really differ.

Knows right and wrong answers as rows of booleans; not methods, models or pictures.
"""

from __future__ import annotations

import math

import numpy as np

DRAWS = 2000


def interval(right: np.ndarray, seed: int = 0, draws: int = DRAWS) -> tuple[float, float]:
    """Give the 95 % bootstrap interval of the share of right answers.

    right [n] boolean. The percentile method of Efron (1979): draw n answers with replacement,
    2000 times, and cut off 2.5 % of the shares at both ends. Seeded: a table stays as it is.
    """
    right = np.asarray(right, dtype=np.float64)
    generator = np.random.default_rng(seed)
    shares = right[generator.integers(0, len(right), (draws, len(right)))].mean(1)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


def mcnemar(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Give the two-sided p-value of McNemar's exact test on the same questions.

    ours, theirs [n] boolean. Only questions count that one got right and the other wrong: if both
    are equally good, each of those is a fair coin (McNemar 1947, in its binomial form).
    """
    ours, theirs = np.asarray(ours, bool), np.asarray(theirs, bool)
    wins, losses = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    n = wins + losses
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, i) for i in range(min(wins, losses) + 1)) / 2**n
    return min(1.0, 2 * tail)
