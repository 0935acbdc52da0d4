"""Time, print and compare measurements: what every bench has in common."""

from __future__ import annotations

import gc
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def timed(work: Callable[[], object]) -> float:
    """Give the seconds that some work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def processor_time(work: Callable[[], object]) -> float:
    """Give the processor's seconds, of all threads, which a busy machine changes little."""
    began = time.process_time()
    work()
    return time.process_time() - began


def report(name: str, seconds: list[float], goal: float | None = None, unit: float = 1e3) -> None:
    """Print a row of times in milliseconds: median, 95th percentile, goal."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)]
    row = f"{name:58} median {unit * statistics.median(ordered):8.1f}  p95 {unit * p95:8.1f} ms"
    print(row + (f"  goal {unit * goal:.0f}" if goal else ""), flush=True)


def ratio(name: str, value: float, goal: float | None = None) -> None:
    """Print a row that compares two medians of the same run."""
    wanted = "" if goal is None else f"  goal {goal:.2f}"
    print(f"{name:58} ratio  {value:8.2f}{wanted}", flush=True)


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """Give how many times longer one takes than the other, by their medians."""
    return statistics.median(ours) / statistics.median(theirs)


def alone(work: Callable[..., object], *given_to: object) -> object:
    """Call in a fresh process."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return pool.submit(work, *given_to).result()


def peak_gigabytes(work: Callable[[], object]) -> float:
    """Give the peak memory of this process while it works, in GB; Linux only."""
    own = Path("/proc/self")
    gc.collect()
    (own / "clear_refs").write_text("5")  # forget the peak of what came before
    work()
    lines = dict(line.split(":", 1) for line in (own / "status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1e6
