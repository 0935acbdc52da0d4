"""What is said while a model looks, reads, answers and is scored: the stage, and what is left.

Knows progress, clocks and which models take seconds; not what is asked of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from explorer.cases.progress import with_reported_progress
from explorer.vlm.loader import default_loader
from explorer.vlm.progress import Progress

T = TypeVar("T")
LINE_SECONDS = 1.0  # between two lines: each costs the server some 60 ms on its way
SAID = {
    "tower": "Looking at the picture, part {at} of {total}",
    "prefill": "Reading picture and question, layer {at} of {total}",
    "words": "Answering, word {at} of at most {total}",
    "maps": "Scoring every patch, method {at} of {total}",
}
SCORING = "Scoring every patch by every method"


@dataclass
class StageClock:
    """Turns progress into a line; what is left is reckoned from what the stage has taken."""

    now: Callable[[], float] = time.perf_counter
    _stage: str = ""
    _began: float = 0.0
    _from: float = 0.0

    def line(self, progress: Progress) -> str:
        """Say how far the work is."""
        now = self.now()
        if progress.stage != self._stage or progress.done < self._from:
            self._stage, self._began, self._from = progress.stage, now, progress.done
        words = progress.stage == "words"  # that are there; else what has not been begun yet
        at = int(progress.done) + (not words)
        said = SAID.get(progress.stage, SCORING).format(at=at, total=int(progress.total))
        done = progress.done - self._from
        if not done:
            return f"{said} …"
        left = round((now - self._began) / done * (progress.total - progress.done))
        return f"{said}, {'at most ' if words else ''}{left} s left …"


def with_stages(values: Generator[T, None, None], model: str) -> Iterator[T | str]:
    """Give values, and between them lines that say how far the model is with the next one.

    Of a model that answers at once, before anybody could read a line, the values alone. Closing the
    iterator stops the work at its next view of the picture, layer or word.
    """
    with closing(values):
        if default_loader().catalog.entry(model).live:
            yield from values
            return
        stages = StageClock()
        with closing(with_reported_progress(values, LINE_SECONDS)) as events:
            for found in events:
                yield stages.line(found) if isinstance(found, Progress) else found
