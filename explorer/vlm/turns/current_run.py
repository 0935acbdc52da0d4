"""What a computation asks of the queue in which it has its turn, without being handed it.

Attention calls `yield_turn` between layers, measurements read `clock`, tabs tell `place`: each in
whatever thread it computes, which a context variable knows. Knows that there are turns; not how
they are given.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Protocol


class TakesTurns(Protocol):
    """A run in a queue; see `fair_queue.Run`."""

    def yield_turn(self) -> None:
        """Let others have their turn if it is time."""

    def others(self) -> int:
        """Count the other runs."""

    def place(self) -> tuple[int, int]:
        """Give the place among all runs, and their number."""

    def clock(self) -> float:
        """Give seconds without those in which others had their turn."""


CURRENT: ContextVar[TakesTurns | None] = ContextVar("current run", default=None)
"""The run for which this thread computes; None outside a queue."""


def yield_turn() -> None:
    """Let other visitors have their turn if it is time; to be called between two pieces of work.

    Does nothing outside a queue. Raises `Cancelled` where nobody waits for the work any more.
    """
    run = CURRENT.get()
    if run is not None:
        run.yield_turn()


def others() -> int:
    """Count the other runs with which the one of this thread takes turns; 0 outside a queue."""
    run = CURRENT.get()
    return 0 if run is None else run.others()


def place() -> tuple[int, int]:
    """Give the place of this thread's run among all that take turns; (1, 1) outside a queue."""
    run = CURRENT.get()
    return (1, 1) if run is None else run.place()


def clock() -> float:
    """Give seconds for measuring what a run takes: without those in which others had their turn."""
    run = CURRENT.get()
    return time.perf_counter() if run is None else run.clock()


def without_queue() -> None:
    """Compute without taking turns from here on: in a process that has a GPU to itself."""
    CURRENT.set(None)
