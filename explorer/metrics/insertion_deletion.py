"""Insertion and deletion: does an order of tokens put first what the answer rests on?

Petsiuk, Das and Saenko, "RISE", BMVC 2018, arXiv 1806.07421; official code eclique/RISE @d91ea00,
evaluation.py (CausalMetric.single_run, auc). Knows orders and a function of presence; not models.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

STEPS = 24  # of a curve, as coarse as a slider is read


def order_of(scores: np.ndarray) -> np.ndarray:
    """Give tokens from the largest score down; among equals the lowest number first."""
    return np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")


def presence(order: np.ndarray, step: int, inserting: bool) -> Tensor:
    """Give who is present after every step, [ceil(N / step) + 1, N], both ends included.

    Inserting starts from nobody and adds the best first; deleting starts from all of them.
    """
    n = len(order)
    rows = torch.zeros(-(-n // step) + 1, n, dtype=torch.float32)
    for row in range(1, len(rows)):
        rows[row, torch.from_numpy(order[: row * step].copy())] = 1
    return rows if inserting else 1 - rows


def curve(
    f: Callable[[Tensor], Tensor],
    order: np.ndarray,
    step: int | None = None,
    inserting: bool = True,
    per_call: int = 16,
) -> np.ndarray:
    """Give f after every step. f maps presence [B, N] to [B]; step: tokens, N / 24 by default."""
    step = -(-len(order) // STEPS) if step is None else step
    rows = presence(order, step, inserting)
    return torch.cat([f(part) for part in rows.split(per_call)]).numpy()


def curve_area(values: np.ndarray) -> float:
    """Give the area under a curve on [0, 1], by trapezoids; a last, shorter step counts as one."""
    values = np.asarray(values, dtype=np.float64)
    return float((values.sum() - values[0] / 2 - values[-1] / 2) / (len(values) - 1))
