"""Several answers side by side: of many methods about one case, or of many cases.

Every method prunes its own prompt, timed by itself. With small models the next group is prefilled
while another decodes (batch_answers.py, threads.py). Knows cases and methods; not what the answers
are compared for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from explorer.cases import gpu
from explorer.cases.answers import answer_key, full_run, full_run_key, store_answer, store_full_run
from explorer.cases.batch_answers import (
    ActiveRow,
    AnswerBatch,
    AnswerResult,
    AnswerSpec,
    CaseContext,
    PlannedAnswer,
    full_run_bytes,
    full_runs,
    plan_answer,
    prefill_answers,
)
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.request import CaseRequest
from explorer.errors import VisitorError
from explorer.inference.llm_layers import pack_by_length
from explorer.methods import catalog
from explorer.vlm.threads import MAX_PREFETCHED, Prefetch, parallel_runs

FIRST_GROUP = 6  # answers that are decoded first: a few, so that some are complete soon,
GROUP = 32  # then many
GROUP_BYTES = 1_000_000_000  # of all caches


def never() -> bool:
    """Don't stop."""
    return False


def cached_answers(
    request: CaseRequest, specs: Sequence[AnswerSpec], cache: ResultCache | None
) -> list[AnswerResult]:
    """Give those of the answers that the cache has, without a model."""
    if cache is None:
        return []
    unique = dict.fromkeys((catalog.canonical(method), budget) for method, budget in specs)
    found = [(spec, cache.get(answer_key(request.id, *spec))) for spec in unique]
    return [
        AnswerResult(*spec, answer, cached=True) for spec, answer in found if answer is not None
    ]


@use_case(cost=lambda request, specs: GpuCost(answers=1 + len(specs)))
def compute_answers(
    request: CaseRequest,
    specs: Sequence[AnswerSpec],
    *,
    cache: ResultCache | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[AnswerResult]:
    """Answer by several methods, each at its own mean budget, whatever the cache has of them.

    A method that can't do it gets a sentence in place of an answer. The seconds of selection are
    each method's own, measured while another core may be busy with another method; what many rows
    share is not a number: the seconds of decoding, and of prompts that were prefilled together.
    stop: asked between two steps; once true, nothing more is given.
    """
    if stop():
        return
    case = open_case(request, cache)
    context = CaseContext(case, full_run(case, cache))
    planned = [(context, *spec) for spec in sorted(dict.fromkeys(specs), key=_is_slow)]
    yield from _plan_and_decode(planned, parallel_runs(case.vlm), cache, stop)


def answer_many(
    request: CaseRequest,
    specs: Sequence[AnswerSpec],
    *,
    cache: ResultCache | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[AnswerResult]:
    """Answer by several methods; those that the cache has come first; see `compute_answers`."""
    cached = cached_answers(request, specs, cache)
    yield from cached
    there = {(result.method, result.budget) for result in cached}
    unique = dict.fromkeys((catalog.canonical(method), budget) for method, budget in specs)
    missing = [spec for spec in unique if spec not in there]
    if missing:
        yield from compute_answers(request, missing, cache=cache, stop=stop)


def _is_slow(spec: AnswerSpec) -> bool:
    """Tell whether a method takes as long as many others together: it comes last."""
    try:
        return catalog.resolve(spec[0]).slow
    except VisitorError:
        return False


def prepare(
    requests: Sequence[tuple[CaseRequest, Sequence[AnswerSpec]]], cache: ResultCache
) -> None:
    """Answer several requests to one model side by side, into a cache, before they are asked.

    What can't be answered is left out. Does nothing where GPUs are lent: every case has a GPU of
    its own there.
    """
    if gpu.ON_ZEROGPU:
        return
    cases = [open_case(request, cache) for request, _ in requests]
    new = {case.id: case for case in cases if full_run_key(case.id) not in cache}
    for group in pack_by_length(new.values(), full_run_bytes, GROUP_BYTES):
        for case, run in zip(group, full_runs(group), strict=True):
            store_full_run(case, run, cache)
    pending = []
    for case, (_, specs) in zip(cases, requests, strict=True):
        context = CaseContext(case, full_run(case, cache))
        pending += [
            (context, *spec)
            for spec in dict.fromkeys(specs)
            if answer_key(case.id, *spec) not in cache
        ]
    for _ in _plan_and_decode(pending, 1, cache, never):
        pass


def _plan_and_decode(
    pending: Sequence[tuple[CaseContext, str, int]],
    n_threads: int,
    cache: ResultCache | None,
    stop: Callable[[], bool],
) -> Iterator[AnswerResult]:
    planned = []
    for context, *spec in pending:
        try:
            planned.append(plan_answer(context, *spec))
        except VisitorError as error:
            yield AnswerResult(*spec, None, str(error))
    if not planned:
        return
    # So many groups are held at a time, one of them decoding.
    room = GROUP_BYTES // (n_threads + MAX_PREFETCHED)
    for plan, result in _decoded(planned, n_threads, room, stop):
        if result.answer is not None:
            store_answer(plan.context.case, result.answer, cache)
        yield result


def _decoded(
    planned: Sequence[PlannedAnswer], n_threads: int, room: float, stop: Callable[[], bool]
) -> Iterator[tuple[PlannedAnswer, AnswerResult]]:
    def work(
        groups: Iterator[list[PlannedAnswer]],
    ) -> Iterator[tuple[PlannedAnswer, AnswerResult] | list[ActiveRow]]:
        for group in groups:
            yield (yield from prefill_answers(group, stop))

    running = AnswerBatch(planned[0].context.case.vlm.max_new_tokens, room)
    with closing(Prefetch(work, _groups(planned, room), n_threads)) as waiting:
        more = True
        while not stop() and (more or running.rows):
            if more and running.open and (waiting.ready or not running.rows):
                arrived = next(waiting, None)
                more = arrived is not None
                if isinstance(arrived, tuple):
                    yield arrived
                elif arrived:
                    running.admit(arrived)
            else:
                yield from running.step()


def _groups(planned: Sequence[PlannedAnswer], room: float) -> Iterator[list[PlannedAnswer]]:
    """Cut the answers, in their order, into groups that begin to decode at once."""
    rest = max(1, len(planned) - FIRST_GROUP)
    most = max(FIRST_GROUP, math.ceil(rest / math.ceil(rest / GROUP)))  # all of one size
    group, nbytes, first = [], 0, True
    for plan in planned:
        group.append(plan)
        nbytes += plan.cache_bytes
        if len(group) >= (FIRST_GROUP if first else most) or nbytes > room:
            yield group
            group, nbytes, first = [], 0, False
    if group:
        yield group
