"""Arrays and numbers as the page reads them: base64, steps of a scale, rounded numbers."""

from __future__ import annotations

import base64
import math

import numpy as np

STEPS = 65_535


def packed(array: np.ndarray, dtype: str) -> str:
    """Write an array as base64."""
    return base64.b64encode(np.ascontiguousarray(array, dtype="<" + dtype).tobytes()).decode()


def in_steps(values: np.ndarray) -> dict:
    """Write numbers in 65,535 even steps between the lowest and the highest: half the bytes."""
    low, high = float(values.min()), float(values.max())
    steps = (values - low) * (STEPS / (high - low)) if high > low else np.zeros(len(values))
    return {"low": low, "high": high, "steps": packed(np.rint(steps), "u2")}


def rounded(value: float | None) -> float | None:
    """Keep five digits: enough to read, short to send; JSON knows no NaN and no infinity."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{float(value):.5g}")
