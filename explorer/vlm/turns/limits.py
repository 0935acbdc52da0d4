"""How many runs there may be: of one visitor and of all, waiting, computing, and holding tensors.

Knows the runs that there are; not when one of them has its turn.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from explorer.errors import TooManyRequests

MAX_RUNS_OF_ONE = 8  # of one visitor, waiting or computing
MAX_BEGUN, MAX_BEGUN_OF_ONE = 4, 2  # long jobs that have begun: what one holds stays till it ends
MAX_RUNS, MAX_LONG_RUNS = 64, 48  # of all visitors; the rest is kept free for short questions


class Bounded(Protocol):
    """A run, as far as it counts; see `fair_queue.Run`."""

    visitor: str
    long: bool
    has_begun: bool


def check_room(runs: Collection[Bounded], visitor: str, long: bool) -> None:
    """Raise `TooManyRequests` where a visitor, or all together, have as many runs as they may."""
    if sum(run.visitor == visitor for run in runs) >= MAX_RUNS_OF_ONE:
        raise TooManyRequests(
            f"{MAX_RUNS_OF_ONE} of your questions are being worked on already; please wait "
            "until one of them is answered."
        )
    if len(runs) >= (MAX_LONG_RUNS if long else MAX_RUNS):
        raise TooManyRequests(
            "So many people are asking at this moment that no more is taken on; please "
            "try again in a minute."
        )


def may_go_on(run: Bounded, runs: Collection[Bounded]) -> bool:
    """Tell whether a run has begun, or may: long jobs keep their tensors between slices."""
    begun = [other.visitor for other in runs if other.long and other.has_begun]
    room = len(begun) < MAX_BEGUN and begun.count(run.visitor) < MAX_BEGUN_OF_ONE
    return run.has_begun or not run.long or room
