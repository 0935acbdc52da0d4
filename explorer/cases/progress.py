"""Iterate over work that reports its progress, and stop it when nobody iterates any more.

For libraries that call back but can't be iterated over (captum), and for steps that take seconds
between two values. Knows nothing of the work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from queue import SimpleQueue
from typing import TypeVar

from explorer.vlm.progress import Progress, reporting_to

T = TypeVar("T")
ProgressCallback = Callable[[int, int], None]
"""Called with how many evaluations of the model are done, and how many there are to do."""


class _Stopped(Exception):
    """Nobody iterates any more."""


def with_progress(work: Callable[[ProgressCallback], T]) -> Iterator[Progress | T]:
    """Run `work(report)` in a thread of its own; gives every `Progress`, and its result at last.

    Closing the iterator stops the work the next time it reports, and waits for that. What
    the work raises is raised here.
    """
    return _in_thread(lambda put: put(work(lambda *numbers: put(Progress(*numbers)))))


def with_reported_progress(
    values: Generator[T, None, None], every: float
) -> Iterator[Progress | T]:
    """Give a generator's values, and what its work reports in between: each stage as it begins, and
    then once in so many seconds.

    The values are computed in a thread of its own. Closing the iterator stops the work where it
    gives or reports something the next time, and waits for that. What it raises is raised here.
    """

    def work(put: Callable[..., None]) -> None:
        last, stage = float("-inf"), ""

        def on_progress(progress: Progress) -> None:
            nonlocal last, stage
            now = time.perf_counter()
            due = progress.stage != stage or now - last >= every
            if due:
                last, stage = now, progress.stage
            put(*([progress] if due else []))

        with reporting_to(on_progress), closing(values):
            for value in values:
                put(value)

    return _in_thread(work)


def _in_thread(work: Callable[[Callable[..., None]], None]) -> Iterator[T]:
    """Run `work(put)` in a thread of its own; gives what it puts, one value at a time or none.

    The work is stopped the first time it calls `put` after the iterator was closed.
    """
    events: SimpleQueue[tuple[T] | None] = SimpleQueue()
    closed = threading.Event()

    def put(*event: T) -> None:
        if closed.is_set():
            raise _Stopped
        if event:
            events.put(event)

    def run() -> None:
        try:
            work(put)
        finally:
            events.put(None)

    with ThreadPoolExecutor(1) as worker:
        try:
            future = worker.submit(copy_context().run, run)
            while (event := events.get()) is not None:
                yield event[0]
            future.result()
        finally:
            closed.set()
