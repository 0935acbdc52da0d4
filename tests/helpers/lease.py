"""Stands in for the package `spaces` as it lends GPUs on ZeroGPU (spaces 0.51.3).

Every call runs in a forked process. Arguments, and everything that a generator gives, are pickled;
here a tensor or a module among them is an error, wherever it lies. While it lends, the weights of a
model are out of this process's reach. An error arrives without its words, unless it is a gr.Error.
"""

from __future__ import annotations

import inspect
import io
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps

import torch
from torch import nn

FORK = multiprocessing.get_context("fork")
TIMEOUT = 90
forked = False


@dataclass
class Lease:
    """One call that was made. crossed: the bytes of every pickle; seconds: what was asked for."""

    seconds: float
    process: multiprocessing.Process
    crossed: list[int]


leases: list[Lease] = []
_away: dict[nn.Module, dict[str, nn.Parameter]] = {}


class Strict(pickle.Pickler):
    """Refuses whatever belongs to a device or to a process."""

    def reducer_override(self, value: object) -> object:
        if isinstance(value, (torch.Tensor, nn.Module, torch.device)):
            raise pickle.PicklingError(f"{type(value).__name__} must not cross")
        return NotImplemented


def packed(value: object) -> bytes:
    file = io.BytesIO()
    Strict(file, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()


def GPU(duration: float | Callable = 60, size: str | None = None) -> Callable:
    """Decorate a generator function as `spaces.GPU(duration=...)` does."""

    def decorate(task: Callable) -> Callable:
        if not inspect.isgeneratorfunction(task):
            raise TypeError("this stand-in knows generators only")

        @wraps(task)
        def called(*args, **kwargs) -> Iterator[object]:
            if forked:
                yield from task(*args, **kwargs)
                return
            seconds = duration(*args, **kwargs) if callable(duration) else duration
            yield from _lent(task, packed((args, kwargs)), seconds)

        return called

    return decorate


def _lent(task: Callable, arguments: bytes, seconds: float) -> Iterator[object]:
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=_work, args=(task, arguments, ours, theirs), daemon=True)
    process.start()
    theirs.close()
    lease = Lease(seconds, process, [len(arguments)])
    leases.append(lease)
    try:
        while True:
            if not ours.poll(TIMEOUT):
                raise TimeoutError("the worker says nothing")
            kind, said = pickle.loads(data := ours.recv_bytes())
            lease.crossed.append(len(data))
            if kind == "end":
                return
            if kind == "error":
                raise RuntimeError(f"ZeroGPU worker error: {said}")
            yield said
            ours.send_bytes(b"go on")
    finally:
        ours.close()  # a worker whose reader has left stops at its next value
        process.join(TIMEOUT)


def _work(task: Callable, arguments: bytes, readers, pipe) -> None:
    global forked
    forked = True
    readers.close()  # else this process itself would keep the pipe open
    torch.set_num_threads(1)  # the threads of this process were not forked
    _bring_back()
    args, kwargs = pickle.loads(arguments)
    try:
        try:
            for value in task(*args, **kwargs):
                pipe.send_bytes(packed(("value", value)))
                pipe.recv_bytes()
            pipe.send_bytes(packed(("end", None)))
        except (BrokenPipeError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever went wrong is to be told
            pipe.send_bytes(packed(("error", f"{type(error).__name__}: {error}")))
    except (BrokenPipeError, EOFError):
        return


@contextmanager
def out_of_reach(model: nn.Module) -> Iterator[None]:
    """Put a model's weights where only workers find them, as happens when a Space launches."""
    for module in model.modules():
        _away[module] = dict(module._parameters)
        for name, weight in module._parameters.items():
            if weight is not None:
                gone = torch.empty_like(weight, device="meta")
                module._parameters[name] = nn.Parameter(gone, requires_grad=False)
    try:
        yield
    finally:
        _bring_back()
        _away.clear()


def _bring_back() -> None:
    for module, weights in _away.items():
        module._parameters.update(weights)
