"""One line now and then about how far a long list of work is, and how long the rest will take.

Knows counts and clocks; not what the work is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

Result = TypeVar("Result")
EVERY = 5.0  # seconds that pass at least from one line to the next


def told(
    results: Iterable[Result], total: int, things: str, file: TextIO | None = None
) -> Iterator[Result]:
    """Pass results on, and say behind one that has been taken how many of the total there were.

    things: what they are, such as "scenes"; file: where to say it (default: standard output).
    """
    began = said = time.perf_counter()
    for number, result in enumerate(results, 1):
        yield result
        now = time.perf_counter()
        if number == total or now - said >= EVERY:
            left = (now - began) / number * (total - number)
            line = f"{number} of {total} {things}, {duration(now - began)}, {duration(left)} left"
            print(line, file=file, flush=True)
            said = now


def duration(seconds: float) -> str:
    """Write seconds as people say them: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60) if minutes >= 120 else (0, minutes)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
