"""Several answers side by side: of many methods about one case, or of many cases.

Every method prunes its own prompt, timed by itself. With small models the next group prunes while
others speak (batch_answers.py, threads.py). Knows cases and methods; not what the answers are
compared for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from explorer.cases import answers as cases_answers
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
from explorer.cases.request import Source, make_request
from explorer.errors import VisitorError
from explorer.inference.llm_layers import pack_by_length
from explorer.methods import catalog
from explorer.vlm.components import Vlm
from explorer.vlm.threads import MAX_PREFETCHED, Prefetch, parallel_runs

FIRST_GROUP = 6  # answers that begin at once: a few, so that something is told soon,
GROUP = 32  # then many
GROUP_BYTES = 1_000_000_000  # of all caches


def never() -> bool:
    """Don't stop."""
    return False


def answer_many(
    model: str | Vlm,
    image: Source,
    question: str,
    wanted: Sequence[AnswerSpec],
    memory: ResultCache | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[AnswerResult]:
    """Answer by several methods, each at its own mean budget; what is remembered comes first.

    A method that can't do it gets a sentence in place of an answer. The seconds of selection are
    each method's own, measured while another core may be busy with another method; what many rows
    share is not a number: the seconds of decoding, and of prompts that passed together.
    stop: asked between two steps; once true, nothing more is told. Raises `VisitorError` for a
    picture, question or model that is no good.
    """
    case = open_case(model, image, question, memory)
    remembered = {
        wish: cases_answers.cached_answer(case.id, *wish, memory) for wish in dict.fromkeys(wanted)
    }
    for wish, answer in remembered.items():
        if answer is not None:
            yield AnswerResult(*wish, answer, known=True)
    pending = sorted((wish for wish, answer in remembered.items() if answer is None), key=_slow)
    if not pending or stop():
        return
    subject = CaseContext(case, cases_answers.full_run(case, memory))
    yield from _answer_pending(
        [(subject, *wish) for wish in pending], parallel_runs(case.vlm), memory, stop
    )


def cached_answers(
    model: str | Vlm,
    image: Source,
    question: str,
    wanted: Sequence[AnswerSpec],
    memory: ResultCache,
) -> list[AnswerResult]:
    """Give those of the wanted answers that nothing has to be computed for, without a model."""
    id_ = make_request(model, image, question).id
    found = [
        (wish, cases_answers.cached_answer(id_, *wish, memory)) for wish in dict.fromkeys(wanted)
    ]
    return [AnswerResult(*wish, answer, known=True) for wish, answer in found if answer is not None]


def _slow(wish: AnswerSpec) -> bool:
    """Tell whether a method takes as long as many others together: it comes last."""
    try:
        return catalog.resolve(wish[0]).slow
    except VisitorError:
        return False


def prepare(
    model: str | Vlm, asked: Sequence[tuple[Source, str, Sequence[AnswerSpec]]], memory: ResultCache
) -> None:
    """Answer questions about several pictures, (picture, question, wishes), into a memory.

    What can't be answered is left out. Raises `VisitorError` for a picture, question or model that
    is no good.
    """
    cases = [open_case(model, image, question, memory) for image, question, _ in asked]
    new = {case.id: case for case in cases if ("full", case.id) not in memory}
    for some in pack_by_length(new.values(), full_run_bytes, GROUP_BYTES):
        for case, found in zip(some, full_runs(some), strict=True):
            cases_answers.store_full_run(case, found, memory)
    pending = []
    for case, (_, _, wanted) in zip(cases, asked, strict=True):
        subject = CaseContext(case, cases_answers.full_run(case, memory))
        pending += [
            (subject, *wish)
            for wish in dict.fromkeys(wanted)
            if cases_answers.cached_answer(case.id, *wish, memory) is None
        ]
    for _ in _answer_pending(pending, 1, memory, never):
        pass


def _answer_pending(
    pending: Sequence[tuple[CaseContext, str, int]],
    lanes: int,
    memory: ResultCache | None,
    stop: Callable[[], bool],
) -> Iterator[AnswerResult]:
    wishes = []
    for subject, *wish in pending:
        try:
            wishes.append(plan_answer(subject, *wish))
        except VisitorError as error:
            yield AnswerResult(*wish, None, str(error))
    if not wishes:
        return
    # So many groups are held at a time, one of them speaking.
    room = GROUP_BYTES // (lanes + MAX_PREFETCHED)
    for wish, told in _decoded(wishes, lanes, room, stop):
        if told.answer is not None:
            cases_answers.store_answer(wish.subject.case, told.answer, memory)
        yield told


def _decoded(
    wishes: Sequence[PlannedAnswer], lanes: int, room: float, stop: Callable[[], bool]
) -> Iterator[tuple[PlannedAnswer, AnswerResult]]:
    def work(
        groups: Iterator[list[PlannedAnswer]],
    ) -> Iterator[tuple[PlannedAnswer, AnswerResult] | list[ActiveRow]]:
        for group in groups:
            yield (yield from prefill_answers(group, stop))

    table = AnswerBatch(wishes[0].subject.case.vlm.max_new_tokens, room)
    with closing(Prefetch(work, _groups(wishes, room), lanes)) as coming:
        more = True
        while not stop() and (more or table.rows):
            if more and table.open and (coming.ready or not table.rows):
                found = next(coming, None)
                more = found is not None
                if isinstance(found, tuple):
                    yield found
                elif found:
                    table.join(found)
            else:
                yield from table.step()


def _groups(wishes: Sequence[PlannedAnswer], room: float) -> Iterator[list[PlannedAnswer]]:
    """Cut the wishes, in their order, into groups that begin to speak at once."""
    rest = max(1, len(wishes) - FIRST_GROUP)
    most = max(FIRST_GROUP, math.ceil(rest / math.ceil(rest / GROUP)))  # all of one size
    group, held, first = [], 0, True
    for wish in wishes:
        group.append(wish)
        held += wish.held
        if len(group) >= (FIRST_GROUP if first else most) or held > room:
            yield group
            group, held, first = [], 0, False
    if group:
        yield group
