"""Let a tower look at the views of a picture one by one: it can stop, and say how far it is.

On a processor a layer over seventeen views takes seconds, one over a single view a part of one; and
what lies between its layers takes a seventeenth of the memory. Knows a module and its batch; not
families, nor what is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

from explorer.vlm.progress import Progress, report

STAGE = "tower"  # of what is told
_ONE_BY_ONE: ContextVar[bool] = ContextVar("one by one", default=False)


@contextmanager
def one_by_one(viewer: nn.Module | None) -> Iterator[None]:
    """Inside this context let a module that looks at a batch of views take them singly.

    It stays wrapped, and does nothing else outside. None: a tower that has no batch.
    """
    if viewer is None:
        yield
        return
    if not isinstance(viewer.forward, _Singly):
        viewer.forward = _Singly(viewer.forward)
    token = _ONE_BY_ONE.set(True)
    try:
        yield
    finally:
        _ONE_BY_ONE.reset(token)


class _Singly:
    """The forward of a module, view by view where that is asked for.

    An object with a bound method, so that a copy of the module is given a copy of this.
    """

    def __init__(self, forward: Callable):
        self.forward = forward

    def __call__(self, *args: object, **kwargs: object) -> ModelOutput:
        if not _ONE_BY_ONE.get():
            return self.forward(*args, **kwargs)
        given = (*args, *kwargs.values())
        count = next(len(each) for each in given if isinstance(each, Tensor))

        def pick(value: object, view: int) -> object:
            batched = isinstance(value, Tensor) and len(value) == count
            return value[view : view + 1] if batched else value

        parts = []
        for view in range(count):
            report(Progress(view, count, STAGE))
            named = {name: pick(value, view) for name, value in kwargs.items()}
            parts.append(self.forward(*(pick(value, view) for value in args), **named))
        return _joined(parts)


def _joined(parts: list) -> object:
    """Put the outputs for single views together as the output for all."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Tensor):
        return torch.cat(parts)
    if isinstance(first, ModelOutput):
        return type(first)(**{name: _joined([part[name] for part in parts]) for name in first})
    if isinstance(first, tuple):
        return tuple(_joined(list(each)) for each in zip(*parts, strict=True))
    return first
