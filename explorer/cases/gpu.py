"""Run a use case where its model is: in this process, or in one that has a GPU for a while.

`@use_case` stands at the definition of everything that can be asked of a case. It looks into the
cache before a model is touched, runs the function, and keeps its result. On ZeroGPU the function
runs in a forked process and everything that crosses is pickled: the request and the cached results
of its case go there, values and new results come back, and the cache itself stays here. A GPU is
asked for as many seconds as the work should take, since they are taken from the visitor's quota.
Knows models by name; not what a use case computes, nor pages.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import TypeVar

from explorer import spaces
from explorer.cases.cache import CacheKey, Entry, ResultCache
from explorer.cases.request import CaseRequest
from explorer.errors import VisitorError
from explorer.methods import catalog
from explorer.vlm import devices
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import with_cpu_threads
from explorer.vlm.turns import current_run

F = TypeVar("F", bound=Callable)

CALL_BYTES = 64_000_000  # of the cache of one call whose caller has none
WORKER_BYTES = 512_000_000  # of the cache in a process with a lent GPU
# Seconds on a ZeroGPU card, rounded up; that a 7B model takes no longer was not measured.
START, MAPS, PREFILL, TOKEN = 5.0, 10.0, 0.5, 0.06
DECODED_TOGETHER = 16  # answers that are decoded at once
MAX_SECONDS = 60.0
SPECS = ("method", "methods", "spec", "specs", "against")  # arguments that name methods
DEFAULT_TOKENS = 32  # tokens of an answer, where a model's limit is not known


@dataclass(frozen=True)
class GpuCost:
    """How much a use case computes. answers: runs of the language model; maps: whether of all
    methods.
    """

    answers: int = 1
    maps: bool = False

    def seconds(self, tokens: int) -> float:
        """Estimate how long a GPU is needed. tokens: of an answer at most."""
        groups = math.ceil(self.answers / DECODED_TOGETHER)
        decoding = self.answers * PREFILL + groups * tokens * TOKEN
        return min(MAX_SECONDS, START + decoding + (MAPS if self.maps else 0.0))


@dataclass(frozen=True)
class WorkerMessage:
    """What the worker sends: values, an error to be raised here, and new entries of the cache."""

    values: tuple[object, ...] = ()
    error: VisitorError | None = None
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True)
class CachedAs:
    """How the whole result of a use case is kept: under `key(request, **arguments)`.

    nbytes: its size. events: what a generator gives where its result was in the cache.
    """

    key: Callable[..., CacheKey]
    nbytes: Callable[[object], int]
    events: Callable[[object], Iterable[object]] = lambda result: (result,)


def use_case(
    cost: GpuCost | Callable[..., GpuCost] = GpuCost(),
    cached: CachedAs | None = None,
    check: Callable[..., None] | None = None,
) -> Callable[[F], F]:
    """Decorate a function or generator `f(request, ..., *, cache=None, stop=...)` of a module.

    cost: what it takes on a lent GPU; check: raises `VisitorError` for what no model is needed to
    refuse; both get the request and the arguments by name. A generator's last value is its result.

    However a caller writes a method's spec, the function and its key get the canonical form (the
    arguments of SPECS).

    Callers may hand in a cache that they own, and, where the function takes it, `stop`: asked
    between two values, and, where the model is in this process, between two steps. Raises
    `OutOfMemory` where memory runs out; the model stays usable. A use case that calls another is
    one run, on one GPU.
    """

    def decorate(function: F) -> F:
        definition = _Definition(function, cost, cached, check)

        @wraps(function)
        def stream(request: CaseRequest, *args: object, **options: object) -> Iterator[object]:
            yield from definition.run(stream, request, args, **options)

        @wraps(function)
        def call(request: CaseRequest, *args: object, **options: object) -> object:
            *_, value = definition.run(call, request, args, **options)
            return value

        return stream if definition.generates else call

    return decorate


@dataclass(frozen=True)
class _Definition:
    """A use case as it is written, with what its decorator says of it."""

    function: Callable
    cost: GpuCost | Callable[..., GpuCost]
    cached: CachedAs | None
    check: Callable[..., None] | None

    @property
    def generates(self) -> bool:
        """Whether the function gives several values, one by one."""
        return inspect.isgeneratorfunction(self.function)

    def run(
        self,
        decorated: Callable,
        request: CaseRequest,
        args: tuple,
        cache: ResultCache | None = None,
        stop: Callable[[], bool] | None = None,
        **options: object,
    ) -> Iterator[object]:
        """Give the cached result, or run here, or where a GPU is. decorated: what callers call."""
        arguments = self._named(request, args, options)
        if self.check is not None:
            self.check(request, **arguments)
        key = None if self.cached is None else self.cached.key(request, **arguments)
        result = None if cache is None or key is None else cache.get(key)
        if result is not None:
            yield from self.cached.events(result)
        elif _gpu_worker is None or _IN_WORKER.get():
            cache = ResultCache(CALL_BYTES, request.visions) if cache is None else cache
            here = arguments | {"cache": cache} | ({} if stop is None else {"stop": stop})
            for result in _with_model_settings(self._values(request, here), request):
                yield result
            if key is not None and result is not None:
                cache.put(key, result, self.cached.nbytes(result))
        else:
            cost = self.cost(request, **arguments) if callable(self.cost) else self.cost
            stop = stop if self.generates else None
            yield from _lent(decorated, request, arguments, cost, cache, stop)

    def _named(self, request: CaseRequest, args: tuple, options: dict) -> dict[str, object]:
        """Give every argument behind the request by its name, defaults included."""
        bound = inspect.signature(self.function).bind(request, *args, **options)
        bound.apply_defaults()
        return {
            name: _canonical(value) if name in SPECS else value
            for name, value in bound.arguments.items()
            if name not in ("request", "cache", "stop")
        }

    def _values(self, request: CaseRequest, options: dict) -> Iterator[object]:
        if self.generates:
            yield from self.function(request, **options)
        else:
            yield self.function(request, **options)


def _canonical(value: object) -> object:
    """Write specs in their canonical form: one, a list of them, or of pairs with a budget."""
    if isinstance(value, str):
        return catalog.canonical(value)
    if isinstance(value, tuple):
        return tuple(map(_canonical, value))
    if isinstance(value, list):
        return list(dict.fromkeys(map(_canonical, value)))
    return value


def _with_model_settings(values: Iterator[object], request: CaseRequest) -> Iterator[object]:
    """Compute with as many threads as suit the model, and say whose memory ran out."""
    if isinstance(request.model, str):
        loader, entry = default_loader(), default_loader().catalog.entry(request.model)
        title, device, threads = entry.name, loader.device, entry.threads or loader.cores
    else:
        vlm = request.model
        title, device, threads = vlm.title, vlm.device.type, vlm.run_threads
    values = with_cpu_threads(values, threads)
    return devices.within_memory(values, f"{title} on {device}", device)


# ---- ZeroGPU ------------------------------------------------------------------------------------

_IN_WORKER: ContextVar[bool] = ContextVar("in_worker", default=False)
"""Whether this process holds a lent GPU, so that nothing more has to be lent."""


def _lent(
    use_case: Callable,
    request: CaseRequest,
    arguments: dict,
    cost: GpuCost,
    cache: ResultCache | None,
    stop: Callable[[], bool] | None,
) -> Iterator[object]:
    """Run a use case in the worker, pass its values on, and keep its new results."""
    entries = [] if cache is None else cache.entries_of(request.id)
    seconds = cost.seconds(_max_answer_tokens(request))
    with closing(_gpu_worker(use_case, request, arguments, entries, seconds)) as messages:
        for message in messages:
            for entry in message.entries if cache is not None else ():
                cache.put(*entry)
            if message.error is not None:
                raise message.error
            for value in message.values:
                if stop is not None and stop():
                    return
                yield value


def _max_answer_tokens(request: CaseRequest) -> int:
    if isinstance(request.model, str):
        return default_loader().catalog.entry(request.model).max_new_tokens
    return DEFAULT_TOKENS


def _run_in_worker(
    use_case: Callable, request: CaseRequest, arguments: dict, entries: list[Entry], seconds: float
) -> Iterator[WorkerMessage]:
    """Run a use case in the process that has the GPU; seconds is for the decorator alone."""
    _IN_WORKER.set(True)
    current_run.without_queue()
    default_loader().after_fork()
    cache = ResultCache(WORKER_BYTES)
    for entry in entries:
        cache.put(*entry)
    sent = {key for key, *_ in entries}

    def new_entries() -> list[Entry]:
        new = [entry for entry in cache.entries_of(request.id) if entry[0] not in sent]
        sent.update(key for key, *_ in new)
        return new

    try:
        result = use_case(request, **arguments, cache=cache)
        for value in result if inspect.isgeneratorfunction(use_case) else (result,):
            yield WorkerMessage((value,), entries=new_entries())
    except VisitorError as error:  # others lose their words on the way
        yield WorkerMessage(error=error.with_traceback(None), entries=new_entries())
    else:
        yield WorkerMessage(entries=new_entries())


def _requested_seconds(use_case, request, arguments, entries, seconds: float) -> float:
    return seconds


_gpu_worker = spaces.GPU(duration=_requested_seconds)(_run_in_worker) if spaces else None
ON_ZEROGPU = _gpu_worker is not None  # whether GPUs are lent, one use case at a time
MAX_MODEL_EVENTS = (
    6 if ON_ZEROGPU else 1
)  # events that run a model: on ZeroGPU each has a GPU of its own


def sharing(at_once: int) -> int:
    """Tell how many of the runs that go on at once share a device: where each has its own, one."""
    return 1 if ON_ZEROGPU else at_once
