"""Wait until nobody is inside the use cases of a page that this process serves.

A page that is closed leaves its last question to a thread, and a process that ends while a thread
is in the middle of a tensor is aborted. Knows use cases as functions; not what they do.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields, replace
from functools import wraps

from explorer.ui.session import UseCases

PATIENCE = 60  # seconds


class Busy:
    """Counts who is inside; a generator is counted while it works on its next value."""

    def __init__(self) -> None:
        self._inside = 0
        self._changed = threading.Condition()

    def counting(self, use_cases: UseCases) -> UseCases:
        """Give the same use cases, whose calls are counted."""
        names = [field.name for field in fields(use_cases)]
        return replace(
            use_cases, **{name: self._counted(getattr(use_cases, name)) for name in names}
        )

    def wait(self) -> None:
        """Wait until nobody is inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside, PATIENCE)

    @contextmanager
    def _one(self) -> Iterator[None]:
        with self._changed:
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def _counted(self, function: Callable) -> Callable:
        @wraps(function)
        def call(*args: object, **options: object) -> object:
            with self._one():
                result = function(*args, **options)
            return self._steps(result) if inspect.isgenerator(result) else result

        return call

    def _steps(self, values: Iterator[object]) -> Iterator[object]:
        with closing(values):
            while True:
                with self._one():
                    try:
                        value = next(values)
                    except StopIteration:
                        return
                yield value
