"""How many CPU threads a run is computed with, and pieces of work side by side, one to a core.

Knows torch's threads and Python's; not what is computed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from contextvars import copy_context
from queue import Queue
from typing import TypeVar

import torch

from explorer.vlm.components import Vlm

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Iterator[Item]], Iterator[Result]]
"""Takes pieces from an iterator that all threads share, and gives results."""

CPU_CORES = torch.get_num_threads()  # as torch found them
MAX_PARALLEL_RUNS = 4  # more would wait for each other: half of a small run is Python
MAX_PREFETCHED = 1  # results that nobody has taken yet
_ENDED = object()


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Compute with so many CPU threads in this context, and with as many as before behind it."""
    before = torch.get_num_threads()
    if before != count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def with_cpu_threads(values: Generator[Result, None, None], count: int) -> Iterator[Result]:
    """Pass values on, each computed with so many CPU threads, whichever thread asks for it.

    Between two values the number is what it was: a page asks for each from another thread.
    """
    with closing(values):
        while True:
            with cpu_threads(count):
                try:
                    value = next(values)
                except StopIteration:
                    return
            yield value


def parallel_runs(vlm: Vlm) -> int:
    """Tell how many runs of this model may go on side by side."""
    one_core_each = vlm.threads == 1 and vlm.device.type == "cpu"
    return min(vlm.cores, MAX_PARALLEL_RUNS) if one_core_each else 1


class _Shared(Iterator[Item]):
    """An iterator that several threads may draw from; once closed it has nothing more."""

    def __init__(self, items: Iterable[Item]):
        self._items = iter(items)
        self._lock = threading.Lock()
        self._open = True

    def __next__(self) -> Item:
        with self._lock:
            if not self._open:
                raise StopIteration
            return next(self._items)

    def close(self) -> None:
        self._open = False


def parallel(work: Work, items: Iterable[Item], count: int) -> Iterator[Result]:
    """Give the results of all threads, as they come; with one the work is done right here.

    If a thread fails, or nobody wants more results, the others end with the piece that they are at;
    then the error is raised here.
    """
    if count == 1:
        yield from work(iter(items))
    else:
        yield from _in_threads(work, _Shared(items), count, Queue())


class Prefetch(Iterator[Result]):
    """The next results, worked out while the caller is busy with one: his is one of the threads.

    Where he would have to wait he works one out himself, but for the first, which comes sooner if
    nothing else is computed. At most MAX_PREFETCHED of them wait. With one thread each is worked
    out when it is asked for. Has to be closed.
    """

    def __init__(self, work: Work, items: Iterable[Item], count: int):
        self._waiting = None if count == 1 else Queue(MAX_PREFETCHED)
        self._began = False
        shared = _Shared(items)
        self._own = work(shared)
        if count > 1:
            self._results = _in_threads(work, shared, count - 1, self._waiting)
        else:
            self._results = self._own

    @property
    def ready(self) -> bool:
        """Whether nothing is gained by waiting: a result is there, or has to be asked for."""
        return self._waiting is None or not self._waiting.empty()

    def __next__(self) -> Result:
        if self._began and not self.ready:
            for result in self._own:
                return result
        self._began = True
        return next(self._results)

    def close(self) -> None:
        """Want no more; work that is under way is ended first."""
        self._own.close()
        self._results.close()


def _in_threads(work: Work, shared: _Shared, count: int, results: Queue) -> Iterator[Result]:
    def draw() -> None:
        try:
            with cpu_threads(1):  # each of them has a core of its own
                for result in work(shared):
                    results.put(result)
        finally:
            shared.close()  # nothing is left, or something went wrong
            results.put(_ENDED)

    with ThreadPoolExecutor(count, thread_name_prefix="parallel") as pool:
        running = [pool.submit(copy_context().run, draw) for _ in range(count)]
        going = count
        try:
            while going:
                result = results.get()
                if result is _ENDED:
                    going -= 1
                else:
                    yield result
        finally:
            shared.close()
            while going:  # nobody wants these, but their threads may wait to hand them over
                going -= results.get() is _ENDED
    for each in running:
        each.result()
