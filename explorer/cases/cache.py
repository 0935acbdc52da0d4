"""A cache of results, bounded in bytes; the least recently used ones are dropped first.

Keys are made of content (a picture's digest, a question, a method), never of visitors, and their
bytes count as those of values do. Whoever builds the page owns the cache and passes it on: nothing
in this package keeps one by itself.
"""

from __future__ import annotations

import math
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
ENTRY_BYTES = 500  # of an entry's place in the store
VISION_BYTES = 600_000_000  # of what towers made: three pictures of thirteen views, in float32
MAX_VISIONS = 24  # pictures: where a tower is small, looking again costs less than so much memory
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


class BoundedStore:
    """A thread-safe store of (value, size in bytes) that never holds more than `max_bytes`.

    max_items: how many values it holds at most, if there is such a bound, too.
    """

    def __init__(self, max_bytes: int, max_items: float = math.inf):
        self.max_bytes, self.max_items = max_bytes, max_items
        self.nbytes = 0
        self._items: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

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
        """Keep a value; one that is larger than the whole store is not kept."""
        nbytes += ENTRY_BYTES + len(pickle.dumps(key))
        with self._lock:
            if key in self._items:
                self.nbytes -= self._items.pop(key)[1]
            if nbytes > self.max_bytes:
                return
            self._items[key] = (value, nbytes)
            self.nbytes += nbytes
            while self.nbytes > self.max_bytes or len(self._items) > self.max_items:
                self.nbytes -= self._items.popitem(last=False)[1][1]

    def items(self) -> list[Entry]:
        """List everything, the least recently used first."""
        with self._lock:
            return [(key, *item) for key, item in self._items.items()]


class ResultCache:
    """Results, of which at most `max_bytes` are held, and beside them what towers have made.

    The two don't push each other out: what a tower makes of one picture is larger than all answers
    about it, and takes longer. visions: where that is kept; by default a store of this cache alone.
    """

    def __init__(self, max_bytes: int, visions: BoundedStore | None = None):
        self._results = BoundedStore(max_bytes)
        self._visions = BoundedStore(VISION_BYTES, MAX_VISIONS) if visions is None else visions

    def __len__(self) -> int:
        return len(self._results) + len(self._visions)

    def __bool__(self) -> bool:
        return True  # an empty cache is one all the same: `if cache` asks whether there is any

    def __contains__(self, key: Hashable) -> bool:
        return key in self._of(key)

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return self._results.nbytes + self._visions.nbytes

    def _of(self, key: Hashable) -> BoundedStore:
        return self._visions if isinstance(key, VisionKey) else self._results

    def get(self, key: Hashable) -> object | None:
        """Give the value under the key, or None."""
        return self._of(key).get(key)

    def put(self, key: Hashable, value: object, nbytes: int) -> None:
        """Keep a value, unless it is larger than all that may be held of its kind."""
        self._of(key).put(key, value, nbytes)

    def entries_of(self, case: str) -> list[Entry]:
        """List every result of one case: those under a `CacheKey`."""
        entries = self._results.items()
        return [each for each in entries if isinstance(each[0], CacheKey) and each[0].case == case]


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
