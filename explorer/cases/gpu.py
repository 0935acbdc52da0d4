"""Run a use case where its model is: in this process, or in one that has a GPU for a while.

On ZeroGPU a decorated function runs in a forked process and everything that crosses is pickled. So
a lease carries the question and what is remembered of its case, and brings back what is new; the
memory itself stays here. A lease is asked for as long as the work should take, since it is taken
from the visitor's quota. Elsewhere the same work runs here. Knows models by name; not what a use
case does, nor pages.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from explorer import spaces
from explorer.cases.cache import Entry, ResultCache
from explorer.cases.request import CaseRequest
from explorer.errors import VisitorError
from explorer.vlm import devices
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import with_cpu_threads

WORKER_BYTES = 512_000_000  # of the memory of one lease
# Seconds on a ZeroGPU card, rounded up; that a 7B model takes no longer was not measured.
START, MAPS, PREFILL, WORD = 5.0, 10.0, 0.5, 0.06
SIDE_BY_SIDE = 16  # answers that are decoded at once
MAX_SECONDS = 60.0
DEFAULT_WORDS = 32  # words of an answer, where a model's limit is not known


@dataclass(frozen=True)
class GpuCost:
    """How much is to be done. answers: runs of the language model; maps: of how many kinds."""

    answers: int = 1
    maps: bool = False

    def seconds(self, words: int) -> float:
        """Estimate how long a card is needed. words: tokens of an answer at most."""
        groups = math.ceil(self.answers / SIDE_BY_SIDE)
        spoken = self.answers * PREFILL + groups * words * WORD
        return min(MAX_SECONDS, START + spoken + (MAPS if self.maps else 0.0))


@dataclass(frozen=True)
class WorkerMessage:
    """What comes back from a lease: values, errors to be raised here, and what to remember."""

    values: tuple[object, ...] = ()
    error: VisitorError | None = None
    news: list[Entry] = field(default_factory=list)


def stream(
    work: Callable,
    asked: CaseRequest,
    memory: ResultCache | None = None,
    /,
    much: GpuCost = GpuCost(),
    stop: Callable[[], bool] | None = None,
    **options,
) -> Iterator[object]:
    """Run a use case and pass on what it gives.

    work: a function of the package, called as work(model, picture, question, memory=, **options),
    with a clip for a picture where a film is asked about; what is no generator gives one value.
    stop: asked between two values, and handed to work where that runs here. Raises `OutOfMemory`
    where memory runs out; the model stays usable.
    """
    if _gpu_worker is None:
        here = options if stop is None else options | {"stop": stop}
        yield from _with_oom_message(work, asked, memory, here)
        return
    known = [] if memory is None else memory.about(asked.id)
    with closing(_gpu_worker(work, asked, known, options, much.seconds(_words(asked)))) as parcels:
        for parcel in parcels:
            for entry in parcel.news if memory is not None else ():
                memory.put(*entry)
            if parcel.error is not None:
                raise parcel.error
            for value in parcel.values:
                if stop is not None and stop():
                    return
                yield value


def call(
    work: Callable,
    asked: CaseRequest,
    memory: ResultCache | None = None,
    /,
    much: GpuCost = GpuCost(),
    **options,
) -> object:
    """Run a use case that gives one value; see `stream`."""
    *_, value = stream(work, asked, memory, much=much, **options)
    return value


def _words(asked: CaseRequest) -> int:
    if isinstance(asked.model, str):
        return default_loader().catalog.entry(asked.model).max_new_tokens
    return DEFAULT_WORDS


def _run_in_worker(
    work: Callable, asked: CaseRequest, known: list[Entry], options: dict, seconds: float
) -> Iterator[WorkerMessage]:
    """Do the work in the process that has the card; seconds is for the decorator alone."""
    default_loader().after_fork()
    memory = ResultCache(WORKER_BYTES)
    for entry in known:
        memory.put(*entry)
    sent = {key for key, *_ in known}

    def news() -> list[Entry]:
        new = [entry for entry in memory.about(asked.id) if entry[0] not in sent]
        sent.update(key for key, *_ in new)
        return new

    try:
        for value in _with_oom_message(work, asked, memory, options):
            yield WorkerMessage((value,), news=news())
    except VisitorError as error:  # others lose their words on the way
        yield WorkerMessage(error=error.with_traceback(None), news=news())
    else:
        yield WorkerMessage(news=news())


def _asked_seconds(work, asked, known, options, seconds: float) -> float:
    return seconds


_gpu_worker = spaces.GPU(duration=_asked_seconds)(_run_in_worker) if spaces else None
ON_ZEROGPU = _gpu_worker is not None  # whether GPUs are lent, one use case at a time
MAX_MODEL_EVENTS = (
    6 if ON_ZEROGPU else 1
)  # events that run a model: every lease has a card of its own


def _with_oom_message(
    work: Callable, asked: CaseRequest, memory: ResultCache | None, options: dict
) -> Iterator[object]:
    if isinstance(asked.model, str):
        loader, entry = default_loader(), default_loader().catalog.entry(asked.model)
        title, device, threads = entry.name, loader.device, entry.threads or loader.cores
    else:
        vlm = asked.model
        title, device, threads = vlm.title, vlm.device.type, vlm.run_threads
    values = with_cpu_threads(_values(work, asked, memory, options), threads)
    return devices.within_memory(values, f"{title} on {device}", device)


def _values(
    work: Callable, asked: CaseRequest, memory: ResultCache | None, options: dict
) -> Iterator[object]:
    if inspect.isgeneratorfunction(work):
        yield from work(*asked.case, memory=memory, **options)
    else:
        yield work(*asked.case, memory=memory, **options)
