"""A cache of results, bounded in bytes; the least recently used ones are dropped first.

Keys are made of content (a picture's digest, a question, a method), never of visitors, and their
bytes count as those of values do. Whoever builds the page owns the cache and passes it on: nothing
in this package keeps one by itself.
"""

from __future__ import annotations

import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
ENTRY_BYTES = 500  # of an entry's place in the store
Entry = tuple[Hashable, object, int]
"""A key, the value under it, and its bytes."""


@dataclass(frozen=True)
class CacheKey:
    """Names one result of one case. kind: such as "answer"; rest: what else it depends on.

    Such a result is plain data and may leave the process.
    """

    kind: str
    case: str
    rest: tuple[Hashable, ...] = ()


@dataclass(frozen=True)
class VisionKey:
    """Names what a model's tower made of a picture, whose digest this is.

    Those are tensors on the model's device: they stay in the process.
    """

    model: str
    picture: str


class ResultCache:
    """A thread-safe store of (value, size in bytes) that never holds more than `max_bytes`."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._items: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def __bool__(self) -> bool:
        return True  # an empty cache is one all the same: `if cache` asks whether there is any

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def get(self, key: Hashable) -> object | None:
        """Give the value under the key, or None."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][0]

    def put(self, key: Hashable, value: object, nbytes: int) -> None:
        """Keep a value; one that is larger than the whole cache is not kept."""
        nbytes += ENTRY_BYTES + len(pickle.dumps(key))
        with self._lock:
            if key in self._items:
                self.nbytes -= self._items.pop(key)[1]
            if nbytes > self.max_bytes:
                return
            self._items[key] = (value, nbytes)
            self.nbytes += nbytes
            while self.nbytes > self.max_bytes:
                self.nbytes -= self._items.popitem(last=False)[1][1]

    def entries_of(self, case: str) -> list[Entry]:
        """List every result of one case: those under a `CacheKey`."""
        with self._lock:
            return [
                (key, *item)
                for key, item in self._items.items()
                if isinstance(key, CacheKey) and key.case == case
            ]


def get_or_compute(
    cache: ResultCache | None, key: Hashable, compute: Callable[[], T], nbytes: Callable[[T], int]
) -> T:
    """Give the cached value, or compute and keep it; without a cache just compute it."""
    if cache is None:
        return compute()
    value = cache.get(key)
    if value is None:
        value = compute()
        cache.put(key, value, nbytes(value))
    return value
