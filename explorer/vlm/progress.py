"""How far some work is: a model that loads, a picture that is looked at, a search of many runs.

Knows numbers, and who wants to hear them; not what is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """`done` of `total`, which is 0 where nobody knows.

    stage: what is being done: "waiting", "search", "download" and "weights" of a load; "tower",
    "prefill", "words" and "maps" of a case; "" where there is just one stage.
    """

    done: float = 0
    total: float = 0
    stage: str = ""

    @property
    def share(self) -> float | None:
        """How much of this stage is done, 0 to 1; None where nobody knows."""
        return min(1.0, self.done / self.total) if self.total else None


Report = Callable[[Progress], None]
"""Called with how far the work is; raises where nobody wants it any more."""

_LISTENER: ContextVar[Report | None] = ContextVar("who hears of progress", default=None)


@contextmanager
def reporting_to(listener: Report) -> Iterator[None]:
    """Let a listener hear what is reported in this context."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def report(progress: Progress) -> None:
    """Say how far the work is, if anybody listens; raises where nobody wants it any more."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(progress)


def track(items: Sequence[T], stage: str) -> Iterator[T]:
    """Give items one by one, and say before each how many are done."""
    for done, item in enumerate(items):
        report(Progress(done, len(items), stage))
        yield item
