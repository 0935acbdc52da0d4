"""Remember results, bounded in bytes; the least recently used ones are forgotten first.

Keys are made of content (a picture's digest, a question, a method), never of visitors. Whoever
builds the page owns the memory and passes it on: nothing in this package keeps one by itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

T = TypeVar("T")
Entry = tuple[Hashable, object, int]
"""A key, what is remembered under it, and its bytes."""


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
        return True  # an empty memory is one all the same: `if memory` asks whether there is any

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def get(self, key: Hashable) -> object | None:
        """Give what is remembered under the key, or None."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][0]

    def put(self, key: Hashable, value: object, nbytes: int) -> None:
        """Remember a value; one that is larger than the whole memory is not remembered."""
        with self._lock:
            if key in self._items:
                self.nbytes -= self._items.pop(key)[1]
            if nbytes > self.max_bytes:
                return
            self._items[key] = (value, nbytes)
            self.nbytes += nbytes
            while self.nbytes > self.max_bytes:
                self.nbytes -= self._items.popitem(last=False)[1][1]

    def about(self, case: str) -> list[Entry]:
        """Give everything that is remembered of one case: plain data, which may leave the process.

        Such a key names its kind and then the case. What a tower saw of a picture is kept under the
        model's name instead, since it lies on the model's device.
        """
        with self._lock:
            return [
                (key, *item)
                for key, item in self._items.items()
                if isinstance(key, tuple) and len(key) > 1 and key[1] == case
            ]


def get_or_compute(
    memory: ResultCache | None, key: Hashable, make: Callable[[], T], size: Callable[[T], int]
):
    """Give the remembered value, or make and remember it; without a memory just make it."""
    if memory is None:
        return make()
    found = memory.get(key)
    if found is None:
        found = make()
        memory.put(key, found, size(found))
    return found
