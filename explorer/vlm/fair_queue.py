"""Fair queueing: visitors take turns at the model, a slice of time each, short questions first.

Start-time fair queueing (Goyal, Vin and Cheng, 1996) with preemption: every visitor has a virtual
time, the seconds of the model that were spent on him, and whoever has had the least comes next; one
who arrives starts at the virtual time of those who are served, not at zero. A run gives way
between two layers, in whatever thread it computes (`yield_turn`, called by all attention), so
that nothing that is computed has to know of others. Knows visitors by a name; not models or pages.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

from explorer.errors import TooManyRequests

T = TypeVar("T")
SLICE = 0.1  # seconds after which a run gives way to one that is due
HEAD_START = 5.0  # seconds of the model by which a short question is due before a long job
MAX_RUNS_OF_ONE = 8  # of one visitor, waiting or computing
MAX_BEGUN, MAX_BEGUN_OF_ONE = 4, 2  # long jobs that have begun: what one holds stays till it ends
MAX_RUNS, MAX_LONG_RUNS = 64, 48  # of all visitors; the rest is kept free for short questions
MAX_VISITORS = 1_000  # whose virtual times are remembered
POLL_SECONDS = 0.2  # between two looks at whether a waiting run is still wanted


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
        token = _RUN.set(self)
        try:
            yield
        finally:
            _RUN.reset(token)
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

    def values(self, values: Generator[T, None, None]) -> Iterator[T]:
        """Compute values one by one; gives no more of them once nobody waits for them."""
        try:
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


_RUN: ContextVar[Run | None] = ContextVar("run", default=None)
"""The run for which this thread computes."""


class FairQueue:
    """The runs of all visitors, of which a few at a time have a turn.

    lanes: how many. sliced: whether a run gives way once its slice is over; where every run has a
    GPU of its own it keeps its turn until it has ended.
    """

    def __init__(self, lanes: int = 1, sliced: bool = True):
        self.changed = threading.Condition()
        self._free, self._sliced = lanes, sliced
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
            mine = sum(other.visitor == visitor for other in self._runs)
            if mine >= MAX_RUNS_OF_ONE:
                raise TooManyRequests(
                    f"{MAX_RUNS_OF_ONE} of your questions are being worked on already; please wait "
                    "until one of them is answered."
                )
            if len(self._runs) >= (MAX_LONG_RUNS if long else MAX_RUNS):
                raise TooManyRequests(
                    "So many people are asking at this moment that no more is taken on; please "
                    "try again in a minute."
                )
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
        """Give when a run is due among all, were its slice to end now: (1, 3) is first of three."""
        with self.changed:
            if run.has_turn:
                self._charge(run)
            mine = self._due(run)
            return 1 + sum(self._due(other) < mine for other in self._runs - {run}), len(self._runs)

    def take(self, run: Run) -> None:
        """Wait until it is a run's turn. Raises `Cancelled`."""
        with self.changed:
            if not run.has_turn:
                self._enqueue(run)
            self._wait(run)

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
        is_over = self._sliced and time.perf_counter() - run.began >= SLICE
        if run.has_turn and not (self._waiting and is_over):
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

    def _enqueue(self, run: Run) -> None:
        self._number = run.number = self._number + 1
        self._waiting.append(run)
        self._next()

    def _next(self) -> None:
        """Give free lanes to those who are due."""
        while self._free and (ready := list(filter(self._may_go_on, self._waiting))):
            run = min(ready, key=self._due)
            self._waiting.remove(run)
            self._free -= 1
            run.has_turn, run.has_begun, run.began = True, True, time.perf_counter()
            run.start_clock()
            self._time = max(self._time, self._times[run.visitor])
            self.changed.notify_all()

    def _may_go_on(self, run: Run) -> bool:
        """Tell whether a run has begun, or may: long jobs keep their tensors between slices."""
        begun = [other.visitor for other in self._runs if other.long and other.has_begun]
        room = len(begun) < MAX_BEGUN and begun.count(run.visitor) < MAX_BEGUN_OF_ONE
        return run.has_begun or not run.long or room

    def _wait(self, run: Run) -> None:
        while not run.has_turn:
            if run.cancelled:
                if run in self._waiting:
                    self._waiting.remove(run)
                raise Cancelled
            self.changed.wait(POLL_SECONDS)

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


def yield_turn() -> None:
    """Let other visitors have their turn if it is time; to be called between two pieces of work.

    Does nothing outside a queue. Raises `Cancelled` where nobody waits for the work any more.
    """
    run = _RUN.get()
    if run is not None:
        run._queue.yield_turn(run)


def others() -> int:
    """Count the other runs with which the one of this thread takes turns; 0 outside a queue."""
    run = _RUN.get()
    return 0 if run is None else run._queue.count(without=run)


def place() -> tuple[int, int]:
    """Give the place of this thread's run among all that take turns; (1, 1) outside a queue."""
    run = _RUN.get()
    return (1, 1) if run is None else run._queue.place(run)


def clock() -> float:
    """Give seconds for measuring what a run takes: without those in which others had their turn."""
    run = _RUN.get()
    return time.perf_counter() if run is None else run.clock()


def without_queue() -> None:
    """Compute without taking turns from here on: in a process that has a GPU to itself."""
    _RUN.set(None)
