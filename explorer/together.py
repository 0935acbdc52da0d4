"""Several answers side by side: of many methods about one case, or of many cases.

Every method prunes its own prompt, timed by itself. With small models the next group prunes while
others speak (speaking.py, lanes.py). Knows cases and methods; not what the answers are compared
for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from explorer import answers as single
from explorer import methods, zoo
from explorer.cases import Source, ask, open_case
from explorer.errors import VisitorError
from explorer.families import Vlm
from explorer.lanes import WAITING, Ahead
from explorer.memory import Memory
from explorer.scouting import packs
from explorer.speaking import (
    Row,
    Subject,
    Table,
    Told,
    Wanted,
    Wish,
    planned,
    prefilled,
    references,
    whole_bytes,
)

FIRST_GROUP = 6  # answers that begin at once: a few, so that something is told soon,
GROUP = 32  # then many
GROUP_BYTES = 1_000_000_000  # of all caches


def never() -> bool:
    """Don't stop."""
    return False


def answers(
    model: str | Vlm,
    image: Source,
    question: str,
    wanted: Sequence[Wanted],
    memory: Memory | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[Told]:
    """Answer by several methods, each at its own mean budget; what is remembered comes first.

    A method that can't do it gets a sentence in place of an answer. The seconds of selection are
    each method's own, measured while another core may be busy with another method; what many rows
    share is not a number: the seconds of decoding, and of prompts that passed together.
    stop: asked between two steps; once true, nothing more is told. Raises `VisitorError` for a
    picture, question or model that is no good.
    """
    case = open_case(model, image, question, memory)
    remembered = {wish: single.remembered(case.id, *wish, memory) for wish in dict.fromkeys(wanted)}
    for wish, answer in remembered.items():
        if answer is not None:
            yield Told(*wish, answer, known=True)
    pending = sorted((wish for wish, answer in remembered.items() if answer is None), key=_slow)
    if not pending or stop():
        return
    subject = Subject(case, single.reference(case, memory))
    yield from _computed([(subject, *wish) for wish in pending], zoo.lanes(case.vlm), memory, stop)


def remembered(
    model: str | Vlm,
    image: Source,
    question: str,
    wanted: Sequence[Wanted],
    memory: Memory,
) -> list[Told]:
    """Give those of the wanted answers that nothing has to be computed for, without a model."""
    id_ = ask(model, image, question).id
    found = [(wish, single.remembered(id_, *wish, memory)) for wish in dict.fromkeys(wanted)]
    return [Told(*wish, answer, known=True) for wish, answer in found if answer is not None]


def _slow(wish: Wanted) -> bool:
    """Tell whether a method takes as long as many others together: it comes last."""
    try:
        return methods.slow(methods.resolve(wish[0])[0])
    except VisitorError:
        return False


def prepare(
    model: str | Vlm, asked: Sequence[tuple[Source, str, Sequence[Wanted]]], memory: Memory
) -> None:
    """Answer questions about several pictures, (picture, question, wishes), into a memory.

    What can't be answered is left out. Raises `VisitorError` for a picture, question or model that
    is no good.
    """
    cases = [open_case(model, image, question, memory) for image, question, _ in asked]
    new = {case.id: case for case in cases if ("full", case.id) not in memory}
    for some in packs(new.values(), whole_bytes, GROUP_BYTES):
        for case, found in zip(some, references(some), strict=True):
            single.remember_full(case, found, memory)
    pending = []
    for case, (_, _, wanted) in zip(cases, asked, strict=True):
        subject = Subject(case, single.reference(case, memory))
        pending += [
            (subject, *wish)
            for wish in dict.fromkeys(wanted)
            if single.remembered(case.id, *wish, memory) is None
        ]
    for _ in _computed(pending, 1, memory, never):
        pass


def _computed(
    pending: Sequence[tuple[Subject, str, int]],
    lanes: int,
    memory: Memory | None,
    stop: Callable[[], bool],
) -> Iterator[Told]:
    wishes = []
    for subject, *wish in pending:
        try:
            wishes.append(planned(subject, *wish))
        except VisitorError as error:
            yield Told(*wish, None, str(error))
    if not wishes:
        return
    room = GROUP_BYTES // (lanes + WAITING)  # groups that are held at a time, one of them speaking
    for wish, told in _spoken(wishes, lanes, room, stop):
        if told.answer is not None:
            single.remember(wish.subject.case, told.answer, memory)
        yield told


def _spoken(
    wishes: Sequence[Wish], lanes: int, room: float, stop: Callable[[], bool]
) -> Iterator[tuple[Wish, Told]]:
    def work(groups: Iterator[list[Wish]]) -> Iterator[tuple[Wish, Told] | list[Row]]:
        for group in groups:
            yield (yield from prefilled(group, stop))

    table = Table(wishes[0].subject.case.vlm.max_new_tokens, room)
    with closing(Ahead(work, _groups(wishes, room), lanes)) as coming:
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


def _groups(wishes: Sequence[Wish], room: float) -> Iterator[list[Wish]]:
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
