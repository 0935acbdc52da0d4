"""How sure a share is, and whether two shares of the same questions really differ.

Knows scores of answers from 0 to 1, right and wrong ones as booleans; not methods, models or
pictures.
"""

from __future__ import annotations

import numpy as np

DRAWS = 2000
AT_ONCE = 4_000_000  # values drawn together: 32 MB
FLIPS = 100_000  # of signs: p-values down to a hundred thousandth


def interval(values: np.ndarray, seed: int = 0, draws: int = DRAWS) -> tuple[float, float]:
    """Give the 95 % bootstrap interval of a mean.

    values [n]: scores of answers, or what one method has more than another on the same question, -1
    to 1 (then pairs are drawn). The percentile method of Efron (1979): draw n
    values with replacement, 2000 times, and cut off 2.5 % of the means at both ends. Seeded: a
    table stays as it is.
    """
    values = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(seed)
    n, rows = len(values), max(1, AT_ONCE // len(values))
    parts = [(min(rows, draws - first), n) for first in range(0, draws, rows)]
    means = np.concatenate([values[generator.integers(0, n, part)].mean(1) for part in parts])
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
    tail = ways = 1  # to have no heads among n coins, then one, ..., exact however many coins
    for heads in range(min(wins, losses)):
        ways = ways * (n - heads) // (heads + 1)
        tail += ways
    return min(1.0, 2 * (tail / 2**n))


def sign_flips(ours: np.ndarray, theirs: np.ndarray, seed: int = 0, flips: int = FLIPS) -> float:
    """Give the two-sided p-value of Fisher's randomisation test on the same questions.

    ours, theirs [n]: scores. If both are equally good, whose of two scores is whose is a fair coin
    for every question: so often do coins give a difference as large as the one that was seen
    (Fisher 1935). With scores of 0 and 1 it is McNemar's test, which needs no coins. Seeded.
    """
    more = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    sizes, counts = np.unique(np.abs(more).round(9), return_counts=True)
    generator, sums = np.random.default_rng(seed), np.zeros(flips)
    for size, count in zip(sizes, counts, strict=True):  # heads among so many coins of one size
        sums += size * (2 * generator.binomial(count, 0.5, flips) - count)
    as_large = int((np.abs(sums) >= abs(more.sum()) - 1e-6).sum())
    return (as_large + 1) / (flips + 1)


def paired(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Give the p-value of the test that suits: McNemar's of right and wrong, else by sign flips."""
    if set(np.unique([ours, theirs])) <= {0, 1}:
        return mcnemar(ours, theirs)
    return sign_flips(ours, theirs)


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
