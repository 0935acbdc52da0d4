"""Fair queueing: visitors take turns at the model, a slice of time each, short questions first.

Start-time fair queueing (Goyal, Vin and Cheng, 1996) with preemption: every visitor has a virtual
time, the seconds of the model that were spent on him, and whoever has had the least comes next; one
who arrives starts at the virtual time of those who are served, not at zero. A run gives way
between two layers, in whatever thread it computes (current_run.py), so that nothing that is
computed has to know of others. Knows visitors by a name; not models or pages.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from explorer.vlm.turns.current_run import CURRENT
from explorer.vlm.turns.limits import check_room, may_go_on

T = TypeVar("T")
SLICE = 0.1  # seconds after which a run gives way to one that is due
HEAD_START = 5.0  # seconds of the model by which a short question is due before a long job
MAX_VISITORS = 1_000  # whose virtual times are remembered
POLL_SECONDS = 0.2  # between two looks at whether a waiting run is still wanted
PLACE_SECONDS = 0.5  # between two looks at where in the queue it stands,
TELL_SECONDS = 10.0  # after which it is told again, so that nobody takes it for lost


class Cancelled(BaseException):
    """Raised inside a run for which nobody waits any more; no error, so that none catches it."""


class Run:
    """What one request computes: joins the queue, computes while it has a turn, and leaves.

    visitor: whose virtual time it is charged to. long: whether it is a job of many answers.
    cancelled: tells, from any thread, whether nobody waits for it any more.
    """

    def __init__(self, queue: FairQueue, visitor: str, long: bool, cancelled: Callable[[], bool]):
        self.visitor, self.long = visitor, long
        self.has_turn, self.has_begun, self.began, self.number = False, False, 0.0, 0
        self._queue, self._unwanted, self._ended = queue, cancelled, False
        self._stood_at, self._behind = time.perf_counter(), 0.0  # a clock's stand; its lag, seconds

    @property
    def cancelled(self) -> bool:
        """Whether it should stop."""
        return self._ended or self._unwanted()

    def clock(self) -> float:
        """Give the time on a clock that stands still while others have their turn."""
        with self._queue.changed:
            stood = self._stood_at
            return (time.perf_counter() if stood is None else stood) - self._behind

    def yield_turn(self) -> None:
        """Let others have their turn if it is time. Raises `Cancelled`."""
        self._queue.yield_turn(self)

    def others(self) -> int:
        """Count the other runs."""
        return self._queue.count(without=self)

    def place(self) -> tuple[int, int]:
        """Give when it is due among all; see `FairQueue.place`."""
        return self._queue.place(self)

    def places(self) -> Iterator[tuple[int, int]]:
        """Wait for the first turn; gives the place meanwhile, when it has changed and now and then.

        Who has his turn at once is told nothing. Raises `Cancelled`.
        """
        last, told = None, -math.inf
        while not self._queue.take(self, PLACE_SECONDS):
            if (place := self.place()) != last or time.perf_counter() - told > TELL_SECONDS:
                yield place
                last, told = place, time.perf_counter()

    def start_clock(self) -> None:
        """Let the clock go on, from where it stood."""
        self._behind += time.perf_counter() - self._stood_at
        self._stood_at = None

    def stop_clock(self) -> None:
        """Let the clock stand still."""
        self._stood_at = time.perf_counter()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Compute in this context, when it is this run's turn."""
        self._queue.take(self)
        token = CURRENT.set(self)
        try:
            yield
        finally:
            CURRENT.reset(token)
            self._queue.put_back(self)

    def call(self, function: Callable[[], T]) -> T | None:
        """Compute one value; None once nobody waits for it."""
        try:
            with self.turn():
                return function()
        except Cancelled:
            return None
        finally:
            self._leave()

    def values(
        self,
        values: Generator[T, None, None],
        waiting: Callable[[tuple[int, int]], T] | None = None,
    ) -> Iterator[T]:
        """Compute values one by one; gives no more of them once nobody waits for them.

        waiting: makes a value of each place in the queue, as long as the first turn hasn't come.
        """
        try:
            if waiting is not None:
                yield from map(waiting, self.places())
            while True:
                with self.turn():
                    try:
                        value = next(values)
                    except StopIteration:
                        return
                yield value
        except Cancelled:
            return
        finally:
            self._ended = True  # threads of it that still compute stop at their next layer
            values.close()
            self._leave()

    def _leave(self) -> None:
        self._ended = True
        self._queue.leave(self)


class FairQueue:
    """The runs of all visitors, of which a few at a time have a turn.

    slots: how many have a turn at the same time. sliced: whether a run gives way once its slice is
    over; where every run has a GPU of its own it keeps its turn until it has ended.
    """

    def __init__(self, slots: int = 1, sliced: bool = True):
        self.changed = threading.Condition()
        self._free, self._sliced = slots, sliced
        self._runs: set[Run] = set()
        self._waiting: list[Run] = []
        self._times: dict[str, float] = {}  # by visitor
        self._time = 0.0  # at which those who arrive start
        self._number = 0

    def join(
        self, visitor: str, long: bool = False, cancelled: Callable[[], bool] = lambda: False
    ) -> Run:
        """Let a visitor's request join; it has to leave. Raises `TooManyRequests`."""
        run = Run(self, visitor, long, cancelled)
        with self.changed:
            check_room(self._runs, visitor, long)
            self._runs.add(run)
            self._times[visitor] = max(self._times.get(visitor, 0.0), self._time)
        return run

    def leave(self, run: Run) -> None:
        """Take a run out, wherever it is."""
        with self.changed:
            self._runs.discard(run)
            if run in self._waiting:
                self._waiting.remove(run)
            if run.has_turn:
                self._end_turn(run)
            self._forget()
            self._next()

    def count(self, without: Run) -> int:
        """Count the other runs."""
        with self.changed:
            return len(self._runs - {without})

    def place(self, run: Run) -> tuple[int, int]:
        """Give when a run is due among all, were its slice to end now: (1, 3) is first of three.

        Of a long job that hasn't begun those that have are ahead: one of them has to end first.
        """
        with self.changed:
            if run.has_turn:
                self._charge(run)
            mine = self._rank(run)
            ahead = sum(self._rank(other) < mine for other in self._runs - {run})
            return 1 + ahead, len(self._runs)

    def take(self, run: Run, seconds: float | None = None) -> bool:
        """Wait until it is a run's turn, or for so many seconds; tells whether it is.

        Raises `Cancelled`.
        """
        with self.changed:
            if not run.has_turn and run not in self._waiting:
                self._enqueue(run)
            return self._wait(run, seconds)

    def put_back(self, run: Run) -> None:
        """End a run's turn between two of its values."""
        with self.changed:
            if run.has_turn and self._sliced:
                self._end_turn(run)
                self._next()

    def yield_turn(self, run: Run) -> None:
        """Let others have their turn if the run's slice is over, and wait for its next one.

        What is drawn at random goes on as if nothing had happened in between. Threads of a run that
        has no turn wait here, too, until it has one. Raises `Cancelled`.
        """
        if run.cancelled:
            raise Cancelled
        if run.has_turn and not (self._waiting and self._sliced):
            return
        if run.has_turn and time.perf_counter() - run.began < SLICE:
            return
        state = None
        with self.changed:
            if run.has_turn:
                self._charge(run)
                if not self._waiting or min(map(self._due, self._waiting))[0] > self._due(run)[0]:
                    return
                state = torch.get_rng_state()
                self._end_turn(run)
                self._enqueue(run)
            self._wait(run)
        if state is not None:
            torch.set_rng_state(state)

    def _due(self, run: Run) -> tuple[float, int]:
        """Give what runs are ordered by; among equals, who has waited longest comes first."""
        return self._times[run.visitor] + HEAD_START * run.long, run.number

    def _rank(self, run: Run) -> tuple[bool, float, int]:
        return run.long and not run.has_begun, *self._due(run)

    def _enqueue(self, run: Run) -> None:
        self._number = run.number = self._number + 1
        self._waiting.append(run)
        self._next()

    def _next(self) -> None:
        """Give free slots to those who are due."""
        while self._free and (
            ready := [run for run in self._waiting if may_go_on(run, self._runs)]
        ):
            run = min(ready, key=self._due)
            self._waiting.remove(run)
            self._free -= 1
            run.has_turn, run.has_begun, run.began = True, True, time.perf_counter()
            run.start_clock()
            self._time = max(self._time, self._times[run.visitor])
            self.changed.notify_all()

    def _wait(self, run: Run, seconds: float | None = None) -> bool:
        end = math.inf if seconds is None else time.perf_counter() + seconds
        while not run.has_turn and (left := end - time.perf_counter()) > 0:
            if run.cancelled:
                if run in self._waiting:
                    self._waiting.remove(run)
                raise Cancelled
            self.changed.wait(min(left, POLL_SECONDS))
        return run.has_turn

    def _charge(self, run: Run) -> None:
        """Count the time since its turn began as the visitor's; what goes on begins anew."""
        now = time.perf_counter()
        self._times[run.visitor] += now - run.began
        run.began = now

    def _end_turn(self, run: Run) -> None:
        self._charge(run)
        run.has_turn, self._free = False, self._free + 1
        run.stop_clock()

    def _forget(self) -> None:
        """Drop the times of those who would start at the same time as a new visitor."""
        here, times = {run.visitor for run in self._runs}, self._times
        many = max(0, len(times) - MAX_VISITORS)
        for at, name in enumerate([name for name in times if name not in here]):
            if times[name] <= self._time or at < many:
                del times[name]
