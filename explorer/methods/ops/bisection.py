"""Bisection: the largest setting of a method that stays within a budget."""

from __future__ import annotations

from collections.abc import Callable


def largest(rising: Callable[[float], float], most: float, upper: float = 1.0) -> float:
    """Find the largest x in 0..upper at which a rising curve of steps is at most some number."""
    low, high = 0.0, upper
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) <= most else (low, middle)
    return high if rising(high) <= most else low
