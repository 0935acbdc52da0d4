"""How far methods agree: overlap of kept sets, rank correlation of scores, who keeps a token.

Knows arrays; not methods, models or pages.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def _marks(kept: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Write kept sets as rows of zeros and ones, [M, N]."""
    marks = np.zeros((len(kept), n), dtype=np.int64)
    for row, index in zip(marks, kept, strict=True):
        row[index] = 1
    return marks


def jaccard(kept: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Give |A n B| / |A u B| of every two kept sets, [M, M]; NaN where one of them is empty."""
    marks = _marks(kept, n)
    both, sizes = marks @ marks.T, marks.sum(1)
    either = sizes[:, None] + sizes[None] - both
    empty = (sizes[:, None] == 0) | (sizes[None] == 0)
    return np.where(empty, np.nan, both / np.maximum(either, 1))


def keep_counts(kept: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Count how many of the kept sets hold each patch, [N]."""
    return _marks(kept, n).sum(0)


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Give Kendall's tau-b of two rankings: pairs in the same order less pairs in the other.

    Ties are left out of the pairs that could agree (Kendall 1945); NaN if one row is flat.
    """
    first, second = (np.sign(np.subtract.outer(row, row)) for row in (a, b))
    pairs = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / pairs) if pairs else float("nan")


def spearman(scores: np.ndarray) -> np.ndarray:
    """Give the rank correlation of every two rows of scores [M, N], [M, M]; NaN for a flat row.

    Equal scores share the mean of their places.
    """
    return pd.DataFrame(scores.T).rank().corr().to_numpy()
