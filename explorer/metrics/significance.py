"""How sure a share is, and whether two shares of the same questions really differ.

Knows right and wrong answers as rows of booleans; not methods, models or pictures.
"""

from __future__ import annotations

import math

import numpy as np

DRAWS = 2000


def interval(values: np.ndarray, seed: int = 0, draws: int = DRAWS) -> tuple[float, float]:
    """Give the 95 % bootstrap interval of a mean.

    values [n]: right answers as booleans, or what one method has more than another on the same
    question, -1, 0 or 1 (then pairs are drawn). The percentile method of Efron (1979): draw n
    values with replacement, 2000 times, and cut off 2.5 % of the means at both ends. Seeded: a
    table stays as it is.
    """
    values = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(seed)
    means = values[generator.integers(0, len(values), (draws, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
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


def holm(p: np.ndarray) -> np.ndarray:
    """Raise the p-values [m] of m tests so that 5 % bounds the chance of a single false alarm.

    Holm (1979): the smallest is multiplied by m, the next by m - 1 and so on, and none may fall
    below one that was smaller. NaN, a test that was not made, stays and is not counted.
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    raised = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(raised))
    return adjusted
