"""Several answers about one case, side by side.

Every method prunes its own prompt, timed by itself. Prompts pass through the model together, as one
row of tokens, and the words are decoded for a group at once: a step of the model costs little more
for ten rows than for one. With small models the next group prunes while one is decoded (lanes.py).
Knows cases and methods; not what the answers are compared for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from torch import Tensor

from explorer import answers as single
from explorer import cost, methods, zoo
from explorer.batch import Batch
from explorer.cases import Case, Prompts, Source, ask, open_case
from explorer.decoding import Talk, forced_together
from explorer.engine import Plan, prefill_together
from explorer.errors import VisitorError
from explorer.families import Vlm
from explorer.lanes import WAITING, Ahead
from explorer.maps import alive, plan_of
from explorer.memory import Memory
from explorer.results import Answer
from explorer.runs import Run
from explorer.scouting import packs

FIRST_GROUP = 6  # answers that begin at once: a few, so that something is told soon,
GROUP = 32  # then many
PHRASE = 10  # tokens that a group says before the next may join; many answers end within them
GROUP_BYTES = 1_000_000_000  # of all caches

Wanted = tuple[str, int]
"""A method's spec and a mean budget."""


@dataclass(frozen=True)
class Told:
    """What became of one wish: an answer, or the sentence that says why there is none.

    known: it was remembered and not computed anew.
    """

    method: str
    budget: int
    answer: Answer | None
    error: str | None = None
    known: bool = False


@dataclass(frozen=True)
class _Wish:
    """A method that shall answer. lengths [L]: tokens that enter each layer, text included."""

    method: str
    budget: int
    plan: Plan
    lengths: tuple[int, ...]


@dataclass
class _Row:
    """One prefilled run. prepared: seconds that its signals took; met [G, V]: the logits with
    which it meets the full answer.
    """

    method: str
    budget: int
    run: Run
    prepared: float
    speech: single.Speech
    met: Tensor | None = None


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
    compared = single.reference(case, memory)
    for told in _computed(case, pending, compared, stop):
        if told.answer is not None:
            single.remember(case, told.answer, memory)
        yield told


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


def _computed(
    case: Case, pending: list[Wanted], compared: single.Reference, stop: Callable[[], bool]
) -> Iterator[Told]:
    prompts, lanes = Prompts(case, lambda: compared.tokens), zoo.lanes(case.vlm)
    wishes = []
    for wish in pending:
        try:
            wishes.append(_planned(case, wish, prompts))
        except VisitorError as error:
            yield Told(*wish, None, str(error))
    room = GROUP_BYTES // (lanes + WAITING)  # groups that are held at a time, one of them speaking

    def work(groups: Iterator[list[_Wish]]) -> Iterator[Told | list[_Row]]:
        for group in groups:
            yield (yield from _prefilled(case, group, prompts, stop))

    talk = _Talk(case, compared, room)
    with closing(Ahead(work, _groups(case, wishes, room), lanes)) as coming:
        more = True
        while not stop() and (more or talk.rows):
            if more and talk.may_join and (coming.ready or not talk.rows):
                found = next(coming, None)
                more = found is not None
                if isinstance(found, Told):
                    yield found
                elif found:
                    talk.join(found)
            else:
                yield from talk.step()


class _Talk:
    """The rows that are answering, whoever pruned for them; an answer is told once it has ended."""

    def __init__(self, case: Case, compared: single.Reference, room: int):
        self.case, self.compared, self.room = case, compared, room
        self.talk = Talk(case.vlm.max_new_tokens)
        self.rows: dict[int, _Row] = {}
        self.newest = 0  # tokens that those have said who joined last

    @property
    def may_join(self) -> bool:
        """Whether the newest have said a phrase, and there is room for more."""
        if not self.rows:
            return True
        held = sum(_held(self.case, row.run.length) for row in self.rows.values())
        return self.newest >= PHRASE and len(self.rows) <= GROUP and held <= self.room

    def join(self, rows: list[_Row]) -> None:
        """Let more rows answer. All meet the full answer first."""
        batch = Batch([row.run for row in rows])
        met = forced_together(batch, self.compared.tokens)
        for number, row, logits in zip(self.talk.join(batch), rows, met, strict=True):
            row.met = logits
            self.rows[number] = row
        self.newest = 0

    def step(self) -> Iterator[Told]:
        """Let every row say one more token; tells of those who have nothing more to say."""
        steps = self.talk.step()
        for number in sorted(self.rows.keys() - {number for number, _ in steps}):
            yield self._told(self.rows.pop(number))
        for number, step in steps:
            self.rows[number].speech.add(step)
        self.newest += 1

    def _told(self, row: _Row) -> Told:
        said = row.speech.told(row.run, row.method, row.budget)
        answer = single.measured(self.case, row.run, said, row.prepared, math.nan)
        return Told(row.method, row.budget, single.against(self.compared, answer, row.met))


def _planned(case: Case, wish: Wanted, prompts: Prompts) -> _Wish:
    method, budget = wish
    module, options = methods.resolve(method)
    single.check_budget(budget, case.size.tokens)
    plan = plan_of(module, options, case.size, budget)
    lengths = alive(plan.stages, case.size).astype(int) + prompts.text
    return _Wish(method, budget, plan, tuple(lengths.tolist()))


def _held(case: Case, lengths: Sequence[int]) -> int:
    """Count the bytes of a run's caches."""
    shape = cost.shape_of(case.decoder.body.config)
    return cost.kv_bytes(shape, lengths, case.vlm.model.dtype.itemsize)


def _groups(case: Case, wishes: list[_Wish], room: int) -> Iterator[list[_Wish]]:
    """Cut the wishes, in their order, into groups that are decoded at once."""
    rest = max(1, len(wishes) - FIRST_GROUP)
    most = max(FIRST_GROUP, math.ceil(rest / math.ceil(rest / GROUP)))  # all of one size
    group, held, first = [], 0, True
    for wish in wishes:
        group.append(wish)
        held += _held(case, wish.lengths)
        if len(group) >= (FIRST_GROUP if first else most) or held > room:
            yield group
            group, held, first = [], 0, False
    if group:
        yield group


def _prefilled(
    case: Case, group: list[_Wish], prompts: Prompts, stop: Callable[[], bool]
) -> Generator[Told, None, list[_Row]]:
    """Let every method prune; gives back the rows, and tells of methods that can't."""
    rows: list[_Row] = []
    waves = list(packs(group, lambda wish: wish.lengths[0]))
    while waves and not stop():
        wave = waves.pop(0)
        try:
            asked = [(prompts(wish.plan.needs), wish.plan) for wish in wave]
            runs = prefill_together(case.decoder, asked)
        except VisitorError as error:
            if len(wave) > 1:  # one of them can't: let each try by itself
                waves = [[wish] for wish in wave] + waves
            else:
                yield Told(wave[0].method, wave[0].budget, None, str(error))
            continue
        for wish, run in zip(wave, runs, strict=True):
            prepared = prompts.seconds(wish.plan.needs)
            rows.append(_Row(wish.method, wish.budget, run, prepared, single.Speech(case)))
    return rows
