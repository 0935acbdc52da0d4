"""Agreement of methods: overlap of kept sets and rank correlation of scores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from explorer.metrics import agreement


def test_spearman_sees_ranks_only():
    rows = np.array([[1.0, 2.0, 3.0, 9.0], [-5.0, 0.0, 1e9, np.inf], [4.0, 3.0, 2.0, 1.0]])
    found = agreement.spearman(rows)
    assert np.allclose(found, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3], [1, 3, 2], 0.5),  # 1 - 6 * 2 / (3 * 8)
        ([1, 1, 2, 2], [1, 2, 3, 4], 0.8944271910),  # ties share the mean place: 4 / sqrt(4 * 5)
        ([5, 5, 5], [1, 2, 3], math.nan),
    ],
)
def test_spearman_by_hand(a, b, expected):
    value = agreement.spearman(np.array([a, b], dtype=np.float32))[0, 1]
    assert value == pytest.approx(expected, nan_ok=True)


def test_jaccard_by_hand():
    kept = [np.array([0, 1, 2]), np.array([2, 3]), np.array([], dtype=int)]
    matrix = agreement.jaccard(kept, 5)
    assert matrix[0, 1] == matrix[1, 0] == 1 / 4
    assert matrix[0, 0] == 1 and math.isnan(matrix[0, 2]) and math.isnan(matrix[2, 2])
    assert agreement.keep_counts(kept, 5).tolist() == [1, 1, 2, 1, 0]
