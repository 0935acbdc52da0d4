"""Whether a model is as often right as it is sure: ECE and the Brier score.

Both over many probes alone; of a single answer there is only its confidence. Knows numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BINS = 10
ENOUGH = 100  # probes below which an ECE says more about the bins than about the model


def ece(confidence: Sequence[float], right: Sequence[bool], bins: int = BINS) -> float:
    """Give the expected calibration error: |accuracy - confidence| over bins of equal width.

    confidence [n]: the probability of the answer that was given, 0 to 1; right [n]: whether it was.
    Each bin weighs as many answers as it holds, and takes its upper end in (Guo et al. 2017).
    nan for no answers.
    """
    sure, right = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if not len(sure):
        return float("nan")
    number = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    gaps = [abs((right - sure)[number == each].sum()) for each in range(bins)]
    return float(sum(gaps) / len(sure))


def brier(confidence: Sequence[float], right: Sequence[bool]) -> float:
    """Give the Brier score: the mean of (p - 1[right])^2 over the answers given; nan for none."""
    sure, right = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    return float(((sure - right) ** 2).mean()) if len(sure) else float("nan")
