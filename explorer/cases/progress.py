"""Iterate over work that calls back about its progress, and stop it when nobody iterates any more.

For libraries that call back but can't be iterated over (captum). Knows nothing of the work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import SimpleQueue
from typing import TypeVar

from explorer.vlm.progress import Progress

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
    reports: SimpleQueue[Progress | None] = SimpleQueue()
    closed = threading.Event()

    def report(done: int, total: int) -> None:
        if closed.is_set():
            raise _Stopped
        reports.put(Progress(done, total))

    def run() -> T:
        try:
            return work(report)
        finally:
            reports.put(None)

    with ThreadPoolExecutor(1) as worker:
        try:
            future = worker.submit(copy_context().run, run)
            while (progress := reports.get()) is not None:
                yield progress
            yield future.result()
        finally:
            closed.set()
