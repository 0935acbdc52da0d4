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
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from explorer.errors import VisitorError

T = TypeVar("T")
LOG = logging.getLogger(__name__)
WAIT = 0.1  # seconds between two looks at whether there is room
STILL = 0.8  # seconds that a download may still take until its next step, once nobody waits for it
REMEMBERED = 30.0  # seconds for which a failure is told again instead of trying again


class Cancelled(Exception):
    """Raised inside a load that nobody waits for any more."""


@dataclass(frozen=True)
class Progress:
    """How far a load is. stage: "waiting", "download", "weights"; done of total, 0 if unknown."""

    stage: str = "waiting"
    done: float = 0.0
    total: float = 0.0

    @property
    def share(self) -> float | None:
        """How much of this stage is done, 0 to 1; None where nobody knows."""
        return min(1.0, self.done / self.total) if self.total else None


Report = Callable[[Progress], None]


@dataclass
class Loading(Generic[T]):
    """One load under way, or how it ended. waiting: how many people want it."""

    key: str
    waiting: int = 0
    progress: Progress = Progress()
    value: T | None = None
    error: Exception | None = None
    given_up: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    when: float = 0.0

    @property
    def failed_just_now(self) -> bool:
        """Tell whether this load failed a short while ago, for a reason a person understands."""
        said = isinstance(self.error, VisitorError)
        return said and time.monotonic() - self.when < REMEMBERED

    def result(self) -> T:
        """Give what was loaded, once it has ended, or raise what went wrong."""
        if isinstance(self.error, VisitorError):
            raise type(self.error)(str(self.error))  # each of those who wait gets his own
        if self.error is not None:
            raise self.error
        return self.value


class ModelCache(Generic[T]):
    """Things by key, none of them loaded twice at a time, all of them within `max_bytes`.

    make(key, report) loads one; report(progress) tells how far it is, and raises `Cancelled` when
    the load shall end. expect(key) says before, weigh(thing) after how many bytes it takes;
    expect may raise, and then nothing is touched; release() is called once something has left.
    """

    def __init__(
        self,
        make: Callable[[str, Report], T],
        expect: Callable[[str], float],
        weigh: Callable[[T], float],
        max_bytes: float,
        release: Callable[[], None] = lambda: None,
    ):
        self.max_bytes = max_bytes
        self._make, self._expect, self._weigh, self._release = make, expect, weigh, release
        self._held: OrderedDict[str, tuple[T, float]] = OrderedDict()
        self._loading: dict[str, Loading[T]] = {}
        self._reserved: dict[int, float] = {}  # of loads under way
        self._lock = threading.Lock()

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def keys(self) -> list[str]:
        """Name what is held, that which was used longest ago first."""
        with self._lock:
            return list(self._held)

    @property
    def nbytes(self) -> float:
        """Bytes that are held or being loaded."""
        with self._lock:
            return self._taken()

    def renew_lock(self) -> None:
        """Forget who held the lock: in a forked process that thread does not exist."""
        self._lock = threading.Lock()

    def _taken(self) -> float:
        return sum(size for _, size in self._held.values()) + sum(self._reserved.values())

    def find(self, key: str) -> T | None:
        """Give what is held, and note that it was used; None if it must be loaded first."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key][0]

    def get(self, key: str) -> T:
        """Give it, loaded if need be; waits as long as that takes."""
        found = self.find(key)
        if found is not None:
            return found
        loading = self.want(key)
        loading.ended.wait()
        return loading.result()

    def want(self, key: str, anew: bool = False) -> Loading[T]:
        """Begin to load, or join those who wait already; who goes away early calls `leave`.

        anew: try again even if it failed just now.
        """
        with self._lock:
            loading = self._loading.get(key)
            if loading is not None and not loading.ended.is_set() and not loading.given_up:
                loading.waiting += 1
                return loading
            if key in self._held:
                self._held.move_to_end(key)
                done = Loading(key, 1, Progress("weights", 1, 1), self._held[key][0])
                done.ended.set()
                return done
            if loading is not None and loading.failed_just_now and not anew:
                return loading
            loading = self._loading[key] = Loading(key, 1)
        name = f"load {key}"
        threading.Thread(target=self._run, args=(loading,), name=name, daemon=True).start()
        return loading

    def leave(self, loading: Loading[T]) -> None:
        """Wait no longer; the last one who leaves ends the load."""
        with self._lock:
            loading.waiting -= 1
            alone = loading.waiting <= 0 and not loading.ended.is_set()
        if alone:
            timer = threading.Timer(STILL, self._abandon, (loading,))
            timer.daemon = True
            timer.start()

    def _abandon(self, loading: Loading[T]) -> None:
        """Let go of a load for which nobody waits; its thread ends at its next step, if ever.

        Not while weights come in: they take memory until that thread has ended.
        """
        with self._lock:
            wanted = loading.waiting > 0 or loading.ended.is_set()
            if wanted or loading.progress.stage == "weights":
                return
            loading.given_up = True
            loading.error = Cancelled()
            self._reserved.pop(id(loading), None)
            if self._loading.get(loading.key) is loading:
                del self._loading[loading.key]
        loading.ended.set()

    def _run(self, loading: Loading[T]) -> None:
        key = loading.key

        def report(progress: Progress) -> None:
            with self._lock:
                if loading.waiting <= 0 or loading.given_up:
                    loading.given_up = True
                    raise Cancelled
                loading.progress = progress

        value = wrong = None
        try:
            self._make_room(loading, self._expect(key), report)
            value = self._make(key, report)
        except Exception as error:  # for those who wait, to be raised in their own threads
            if not isinstance(error, (VisitorError, Cancelled)):
                LOG.exception("%s could not be loaded", key)
            wrong = error.with_traceback(None)  # whose frames may hold half of it
        with self._lock:
            self._reserved.pop(id(loading), None)
            if loading.ended.is_set():  # abandoned: nobody is there any more
                return
            loading.when, loading.error = time.monotonic(), wrong
            if wrong is None:
                loading.value = value
                self._held[key] = value, self._weigh(value)
            if not loading.failed_just_now and self._loading.get(key) is loading:
                del self._loading[key]
            gone = self._drop(0, but=key)
        if gone or wrong is not None:
            self._release()
        loading.ended.set()

    def _make_room(self, loading: Loading[T], nbytes: float, report: Report) -> None:
        """Let go of others until `nbytes` more fit; waits while other loads take the room."""
        while True:
            with self._lock:
                gone = self._drop(nbytes)
                others = sum(self._reserved.values())
                fits = self._taken() + nbytes <= self.max_bytes or not others
                if fits:
                    self._reserved[id(loading)] = nbytes
            if gone:
                self._release()
            if fits:
                return
            report(Progress("waiting"))
            time.sleep(WAIT)

    def _drop(self, nbytes: float, but: str | None = None) -> bool:
        """Let go of what was used longest ago until `nbytes` more fit; tells whether any went."""
        before = len(self._held)
        for old in [name for name in self._held if name != but]:
            if self._taken() + nbytes <= self.max_bytes:
                break
            del self._held[old]
        return len(self._held) < before
