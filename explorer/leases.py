"""Run a use case where its model is, and take care when memory runs out.

Every use case passes through here, whatever the device. Knows models by name; not what a use case
does, nor pages.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

from explorer import devices, zoo
from explorer.cases import Asked
from explorer.memory import Memory


def stream(
    work: Callable, asked: Asked, memory: Memory | None = None, /, **options
) -> Iterator[object]:
    """Run a use case and pass on what it gives.

    work: a function of the package, called as work(model, picture, question, memory=, **options);
    what is no generator gives one value. Raises `OutOfMemory` where memory runs out; the model
    stays usable.
    """
    yield from _careful(work, asked, memory, options)


def call(work: Callable, asked: Asked, memory: Memory | None = None, /, **options) -> object:
    """Run a use case that gives one value; see `stream`."""
    *_, value = stream(work, asked, memory, **options)
    return value


def _careful(
    work: Callable, asked: Asked, memory: Memory | None, options: dict
) -> Iterator[object]:
    if isinstance(asked.model, str):
        title, device = zoo.entry(asked.model).name, zoo.device()
    else:
        title, device = asked.model.title, asked.model.device.type
    values = _values(work, asked, memory, options)
    return devices.within_memory(values, f"{title} on {device}", device)


def _values(work: Callable, asked: Asked, memory: Memory | None, options: dict) -> Iterator[object]:
    if inspect.isgeneratorfunction(work):
        yield from work(*asked.case, memory=memory, **options)
    else:
        yield work(*asked.case, memory=memory, **options)
