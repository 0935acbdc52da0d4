"""Pruned prompts that answer side by side, each for its own case: wishes, rows, and their talk.

Prompts pass through the model together, as one row of tokens, and all words of a step are decoded
at once: a step of the model costs little more for ten rows than for one. Knows cases, plans and
runs; not what the answers are wanted for, nor in which order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from explorer import answers as single
from explorer import cost, methods
from explorer.batch import Batch
from explorer.cases import Case, Prompts
from explorer.decoding import Talk, forced_together
from explorer.engine import EVERYTHING, Plan, prefill_together
from explorer.errors import VisitorError
from explorer.maps import alive, plan_of
from explorer.results import Answer
from explorer.runs import Run
from explorer.scouting import packs

MOST = 32  # rows that may still be speaking when others join
PHRASE = 10  # tokens that they say before; many answers end within them
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


class Subject:
    """A case, its prompts, and the full run that its answers are compared with."""

    def __init__(self, case: Case, compared: single.Reference):
        self.case, self.compared = case, compared
        self.prompts = Prompts(case, lambda: compared.tokens)


@dataclass(frozen=True)
class Wish:
    """A method that shall answer. length: tokens that enter the first layer, text included; held:
    bytes of the caches.
    """

    subject: Subject
    method: str
    budget: int
    plan: Plan
    length: int
    held: int

    def told(self, answer: Answer | None, error: str | None = None) -> Told:
        """Say what became of it."""
        return Told(self.method, self.budget, answer, error)


@dataclass
class Row:
    """One prefilled run. met [G, V]: the logits with which it meets the full answer."""

    wish: Wish
    run: Run
    speech: single.Speech
    met: Tensor | None = None

    def told(self) -> Told:
        """Give the answer, now that nothing is left to say."""
        wish, subject = self.wish, self.wish.subject
        said = self.speech.told(self.run, wish.method, wish.budget)
        prepared = subject.prompts.seconds(wish.plan.needs)
        answer = single.measured(subject.case, self.run, said, prepared, math.nan)
        return wish.told(single.against(subject.compared, answer, self.met))


def planned(subject: Subject, method: str, budget: int) -> Wish:
    """Plan where tokens leave; `VisitorError` if the method can't do that."""
    case = subject.case
    module, options = methods.resolve(method)
    single.check_budget(budget, case.size.tokens)
    plan = plan_of(module, options, case.size, budget)
    lengths = (alive(plan.stages, case.size).astype(int) + subject.prompts.text).tolist()
    return Wish(subject, method, budget, plan, lengths[0], _bytes(case, lengths))


def _bytes(case: Case, lengths: Sequence[int]) -> int:
    """Count the bytes of the caches behind a prompt; lengths [L]: tokens that enter each layer."""
    shape = cost.shape_of(case.decoder.body.config)
    return cost.kv_bytes(shape, lengths, case.vlm.model.dtype.itemsize)


def prefilled(
    wishes: Sequence[Wish], stop: Callable[[], bool]
) -> Generator[tuple[Wish, Told], None, list[Row]]:
    """Let every method prune; gives back the rows, and tells of methods that can't."""
    rows: list[Row] = []
    waves = list(packs(wishes, lambda wish: wish.length))
    while waves and not stop():
        wave = waves.pop(0)
        try:
            asked = [(wish.subject.prompts(wish.plan.needs), wish.plan) for wish in wave]
            runs = prefill_together(wave[0].subject.case.decoder, asked)
        except VisitorError as error:
            if len(wave) > 1:  # one of them can't: let each try by itself
                waves = [[wish] for wish in wave] + waves
            else:
                yield wave[0], wave[0].told(None, str(error))
            continue
        rows += [
            Row(wish, run, single.Speech(wish.subject.case))
            for wish, run in zip(wave, runs, strict=True)
        ]
    return rows


class Table:
    """The rows that are speaking, whoever pruned for them; an answer is told once it has ended.

    room: bytes of their caches beyond which nobody may join.
    """

    def __init__(self, limit: int, room: float = math.inf):
        self.rows: dict[int, Row] = {}
        self._talk, self._room = Talk(limit), room
        self._newest = 0  # tokens that those have said who joined last

    @property
    def open(self) -> bool:
        """Whether the newest have said a phrase, and there is room for more."""
        if not self.rows:
            return True
        if self._newest < PHRASE or len(self.rows) > MOST:
            return False
        return sum(row.wish.held for row in self.rows.values()) <= self._room

    def join(self, rows: Sequence[Row]) -> None:
        """Let more rows answer. All meet the full answer of their case first."""
        batch = Batch([row.run for row in rows])
        met = forced_together(batch, [row.wish.subject.compared.tokens for row in rows])
        for number, row, logits in zip(self._talk.join(batch), rows, met, strict=True):
            row.met = logits
            self.rows[number] = row
        self._newest = 0

    def step(self) -> Iterator[tuple[Wish, Told]]:
        """Let every row say one more token; tells of those who have nothing more to say."""
        steps = self._talk.step()
        for number in sorted(self.rows.keys() - {number for number, _ in steps}):
            row = self.rows.pop(number)
            yield row.wish, row.told()
        for number, step in steps:
            self.rows[number].speech.add(step)
        self._newest += 1


def whole_bytes(case: Case) -> int:
    """Count the bytes of the caches of a run with all visual tokens; its words are few."""
    return _bytes(case, [case.size.tokens] * case.size.layers)


def references(cases: Sequence[Case]) -> list[single.Reference]:
    """Run several cases of one model with all visual tokens, side by side."""
    asked = [(case.prompt(), EVERYTHING) for case in cases]
    runs: list[Run] = []
    for pack in packs(asked, lambda each: each[0].embeds.shape[1]):
        runs += prefill_together(cases[0].decoder, pack)
    talk, speeches = Talk(cases[0].vlm.max_new_tokens), [single.Speech(case) for case in cases]
    talk.join(Batch(runs))
    while steps := talk.step():
        for number, step in steps:
            speeches[number].add(step)
    return [
        single.whole(case, run, speech, math.nan)
        for case, run, speech in zip(cases, runs, speeches, strict=True)
    ]
