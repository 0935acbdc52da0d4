"""Follow a long piece of work while it goes on, and stop it when nobody follows any more.

For libraries that call back but can't be iterated over (captum). Knows nothing of what is done.
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
    """Nobody follows any more."""


def with_progress(work: Callable[[ProgressCallback], T]) -> Iterator[Progress | T]:
    """Run `work(tell)` in a thread of its own; gives every `Progress`, and its result at last.

    Closing the iterator stops the work the next time it tells something, and waits for that. What
    the work raises is raised here.
    """
    told: SimpleQueue[Progress | None] = SimpleQueue()
    left = threading.Event()

    def tell(done: int, total: int) -> None:
        if left.is_set():
            raise _Stopped
        told.put(Progress(done, total))

    def run() -> T:
        try:
            return work(tell)
        finally:
            told.put(None)

    with ThreadPoolExecutor(1) as worker:
        try:
            future = worker.submit(copy_context().run, run)
            while (news := told.get()) is not None:
                yield news
            yield future.result()
        finally:
            left.set()
