"""Time, print and compare measurements: what every bench has in common."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable


def timed(work: Callable[[], object]) -> float:
    """Give the seconds that some work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def report(name: str, seconds: list[float], goal: float | None = None, unit: float = 1e3) -> None:
    """Print a row of times in milliseconds: median, 95th percentile, goal."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)]
    row = f"{name:58} median {unit * statistics.median(ordered):8.1f}  p95 {unit * p95:8.1f} ms"
    print(row + (f"  goal {unit * goal:.0f}" if goal else ""), flush=True)


def ratio(name: str, value: float, goal: float) -> None:
    """Print a row that compares two medians of the same run."""
    print(f"{name:58} ratio  {value:8.2f}  goal {goal:.2f}", flush=True)
