"""Loaded things, once each however many people ask, within a budget of bytes.

Every load runs in a thread of its own, so that whoever wants something else never waits for it. Who
waits sees how far it is and may leave; the load ends when nobody waits any more: at its next step,
or, while files are fetched, after a second, for a download may stand still and its thread can't be
stopped. Over the budget, what was used longest ago goes first. Knows keys and bytes; not what is
loaded, devices or pages.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from explorer.errors import VisitorError
from explorer.vlm.progress import Progress, Report

T = TypeVar("T")
LOG = logging.getLogger(__name__)
POLL_SECONDS = 0.1  # between two looks at whether there is room
ABANDON_SECONDS = 0.8  # for which a download goes on once nobody waits for it
FAILURE_SECONDS = 30.0  # for which a failure is told again instead of trying again


class Cancelled(Exception):
    """Raised inside a load that nobody waits for any more."""


@dataclass(eq=False)
class Loading(Generic[T]):
    """One load under way, or how it ended. waiting: how many people want it.

    cancelled: nobody wanted it any more, so it will not give anything.
    """

    key: str
    waiting: int = 0
    progress: Progress = field(default_factory=lambda: Progress(stage="waiting"))
    cancelled: bool = False
    future: Future[T] = field(default_factory=Future)
    ended_at: float = 0.0

    def done(self, within: float = 0.0) -> bool:
        """Tell whether it has ended, at the latest after so many seconds."""
        return bool(wait([self.future], within).done)

    @property
    def failed_just_now(self) -> bool:
        """Whether this load failed a short while ago, for a reason that a person understands."""
        failed = self.future.done() and isinstance(self.future.exception(), VisitorError)
        return failed and time.monotonic() - self.ended_at < FAILURE_SECONDS

    def result(self) -> T:
        """Give what was loaded, once it has ended, or raise what went wrong."""
        error = self.future.exception()
        if isinstance(error, VisitorError):
            raise type(error)(str(error))  # each of those who wait gets one of his own
        return self.future.result()


class ModelCache(Generic[T]):
    """Things by key, none of them loaded twice at a time, all of them within `max_bytes`.

    load(key, report) loads one; report(progress) tells how far it is, and raises `Cancelled` when
    the load shall end. estimate(key) says before, measure(thing) after how many bytes it takes;
    estimate may raise, and then nothing is touched. after_drop() is called once something has left.
    """

    def __init__(
        self,
        load: Callable[[str, Report], T],
        estimate: Callable[[str], float],
        measure: Callable[[T], float],
        max_bytes: float,
        after_drop: Callable[[], None] = lambda: None,
    ):
        self.max_bytes = max_bytes
        self._load, self._estimate, self._measure = load, estimate, measure
        self._after_drop = after_drop
        self._loaded: OrderedDict[str, tuple[T, float]] = OrderedDict()
        self._loading: dict[str, Loading[T]] = {}
        self._reserved: dict[int, float] = {}  # bytes of loads under way
        self._lock = threading.Lock()

    def __contains__(self, key: str) -> bool:
        return key in self._loaded

    def keys(self) -> list[str]:
        """Name what is loaded, that which was used longest ago first."""
        with self._lock:
            return list(self._loaded)

    @property
    def nbytes(self) -> float:
        """Bytes that are held or being loaded."""
        with self._lock:
            return self._taken()

    def renew_lock(self) -> None:
        """Forget who held the lock: in a forked process that thread does not exist."""
        self._lock = threading.Lock()

    def _taken(self) -> float:
        return sum(size for _, size in self._loaded.values()) + sum(self._reserved.values())

    def find(self, key: str) -> T | None:
        """Give what is loaded, and note that it was used; None if it must be loaded first."""
        with self._lock:
            if key not in self._loaded:
                return None
            self._loaded.move_to_end(key)
            return self._loaded[key][0]

    def get(self, key: str) -> T:
        """Give it, loaded if need be; waits as long as that takes."""
        thing = self.find(key)
        return self.acquire(key).result() if thing is None else thing

    def acquire(self, key: str, retry: bool = False) -> Loading[T]:
        """Begin to load, or join those who wait already; who goes away early calls `release`.

        retry: try again even if it failed just now.
        """
        with self._lock:
            loading = self._loading.get(key)
            if loading is not None and not loading.future.done() and not loading.cancelled:
                loading.waiting += 1
                return loading
            if key in self._loaded:
                self._loaded.move_to_end(key)
                loaded = Loading(key, 1, Progress(1, 1, "weights"))
                loaded.future.set_result(self._loaded[key][0])
                return loaded
            if loading is not None and loading.failed_just_now and not retry:
                return loading
            loading = self._loading[key] = Loading(key, 1)
        name = f"load {key}"
        threading.Thread(target=self._run, args=(loading,), name=name, daemon=True).start()
        return loading

    def release(self, loading: Loading[T]) -> None:
        """Wait no longer; the last one who leaves ends the load."""
        with self._lock:
            loading.waiting -= 1
            alone = loading.waiting <= 0 and not loading.future.done()
        if alone:
            timer = threading.Timer(ABANDON_SECONDS, self._abandon, (loading,))
            timer.daemon = True
            timer.start()

    def _abandon(self, loading: Loading[T]) -> None:
        """Let go of a load for which nobody waits; its thread ends at its next step, if ever.

        Not while weights come in: they take memory until that thread has ended.
        """
        with self._lock:
            wanted = loading.waiting > 0 or loading.ended_at
            if wanted or loading.progress.stage == "weights":
                return
            loading.cancelled = True
            self._reserved.pop(id(loading), None)
            if self._loading.get(loading.key) is loading:
                del self._loading[loading.key]
            loading.future.set_exception(Cancelled())

    def _run(self, loading: Loading[T]) -> None:
        key = loading.key

        def report(progress: Progress) -> None:
            with self._lock:
                if loading.waiting <= 0 or loading.cancelled:
                    loading.cancelled = True
                    raise Cancelled
                loading.progress = progress

        try:
            self._make_room(loading, self._estimate(key), report)
            thing = self._load(key, report)
        except Exception as error:  # for those who wait, to be raised in their own threads
            if not isinstance(error, (VisitorError, Cancelled)):
                LOG.exception("%s could not be loaded", key)
            self._end(loading, error.with_traceback(None))  # whose frames may hold half of it
        else:
            self._end(loading, thing)

    def _end(self, loading: Loading[T], outcome: T | Exception) -> None:
        """Keep what was loaded, or what went wrong, for those who wait."""
        failed = isinstance(outcome, Exception)
        with self._lock:
            self._reserved.pop(id(loading), None)
            if loading.future.done():  # abandoned: nobody is there any more
                return
            loading.ended_at = time.monotonic()
            if not failed:
                self._loaded[loading.key] = outcome, self._measure(outcome)
            told_again = isinstance(outcome, VisitorError)
            if not told_again and self._loading.get(loading.key) is loading:
                del self._loading[loading.key]
            dropped = self._drop(0, but=loading.key)
        if dropped or failed:
            self._after_drop()
        (loading.future.set_exception if failed else loading.future.set_result)(outcome)

    def _make_room(self, loading: Loading[T], nbytes: float, report: Report) -> None:
        """Let go of others until `nbytes` more fit; waits while other loads take the room."""
        while True:
            with self._lock:
                dropped = self._drop(nbytes)
                others = sum(self._reserved.values())
                fits = self._taken() + nbytes <= self.max_bytes or not others
                if fits:
                    self._reserved[id(loading)] = nbytes
            if dropped:
                self._after_drop()
            if fits:
                return
            report(Progress(stage="waiting"))
            time.sleep(POLL_SECONDS)

    def _drop(self, nbytes: float, but: str | None = None) -> bool:
        """Let go of what was used longest ago until `nbytes` more fit; tells whether any went."""
        before = len(self._loaded)
        for key in [key for key in self._loaded if key != but]:
            if self._taken() + nbytes <= self.max_bytes:
                break
            del self._loaded[key]
        return len(self._loaded) < before
