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

from explorer.cases import answers
from explorer.cases.case import Case, PromptCache
from explorer.cases.method_maps import alive, plan_of
from explorer.cases.records import Answer
from explorer.errors import VisitorError
from explorer.inference.batch import DecodeBatch
from explorer.inference.decode import DecodeLoop, teacher_force_together
from explorer.inference.llm_layers import pack_by_length
from explorer.inference.prefill import KEEP_ALL, PrefillRun, PruningPlan, prefill_together
from explorer.methods import catalog
from explorer.metrics import cost

MAX_ROWS = 32  # rows that may still be speaking when others join
PHRASE = 10  # tokens that they say before; many answers end within them
AnswerSpec = tuple[str, int]
"""A method's spec and a mean budget."""


@dataclass(frozen=True)
class AnswerResult:
    """What became of one wish: an answer, or the sentence that says why there is none.

    known: it was remembered and not computed anew.
    """

    method: str
    budget: int
    answer: Answer | None
    error: str | None = None
    known: bool = False


class CaseContext:
    """A case, its prompts, and the full run that its answers are compared with."""

    def __init__(self, case: Case, compared: answers.FullRun):
        self.case, self.compared = case, compared
        self.prompts = PromptCache(case, lambda: compared.tokens)


@dataclass(frozen=True)
class PlannedAnswer:
    """A method that shall answer. length: tokens that enter the first layer, text included; held:
    bytes of the caches.
    """

    subject: CaseContext
    method: str
    budget: int
    plan: PruningPlan
    length: int
    held: int

    def told(self, answer: Answer | None, error: str | None = None) -> AnswerResult:
        """Say what became of it."""
        return AnswerResult(self.method, self.budget, answer, error)


@dataclass
class ActiveRow:
    """One prefilled run. met [G, V]: the logits with which it meets the full answer."""

    wish: PlannedAnswer
    run: PrefillRun
    speech: answers.Generation
    met: Tensor | None = None

    def told(self) -> AnswerResult:
        """Give the answer, now that nothing is left to say."""
        wish, subject = self.wish, self.wish.subject
        said = self.speech.told(self.run, wish.method, wish.budget)
        prepared = subject.prompts.seconds(wish.plan.needs)
        answer = answers.measured(subject.case, self.run, said, prepared, math.nan)
        return wish.told(answers.compare_to_full(subject.compared, answer, self.met))


def plan_answer(subject: CaseContext, method: str, budget: int) -> PlannedAnswer:
    """Plan where tokens leave; `VisitorError` if the method can't do that."""
    case = subject.case
    answers.check_budget(budget, case.size.tokens)
    plan = plan_of(catalog.resolve(method), case.size, budget)
    lengths = (alive(plan.stages, case.size).astype(int) + subject.prompts.text).tolist()
    return PlannedAnswer(subject, method, budget, plan, lengths[0], _bytes(case, lengths))


def _bytes(case: Case, lengths: Sequence[int]) -> int:
    """Count the bytes of the caches behind a prompt; lengths [L]: tokens that enter each layer."""
    shape = cost.shape_of(case.decoder.body.config)
    return cost.kv_bytes(shape, lengths, case.vlm.model.dtype.itemsize)


def prefill_answers(
    wishes: Sequence[PlannedAnswer], stop: Callable[[], bool]
) -> Generator[tuple[PlannedAnswer, AnswerResult], None, list[ActiveRow]]:
    """Let every method prune; gives back the rows, and tells of methods that can't."""
    rows: list[ActiveRow] = []
    waves = list(pack_by_length(wishes, lambda wish: wish.length))
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
            ActiveRow(wish, run, answers.Generation(wish.subject.case))
            for wish, run in zip(wave, runs, strict=True)
        ]
    return rows


class AnswerBatch:
    """The rows that are speaking, whoever pruned for them; an answer is told once it has ended.

    room: bytes of their caches beyond which nobody may join.
    """

    def __init__(self, limit: int, room: float = math.inf):
        self.rows: dict[int, ActiveRow] = {}
        self._talk, self._room = DecodeLoop(limit), room
        self._newest = 0  # tokens that those have said who joined last

    @property
    def open(self) -> bool:
        """Whether the newest have said a phrase, and there is room for more."""
        if not self.rows:
            return True
        if self._newest < PHRASE or len(self.rows) > MAX_ROWS:
            return False
        return sum(row.wish.held for row in self.rows.values()) <= self._room

    def join(self, rows: Sequence[ActiveRow]) -> None:
        """Let more rows answer. All meet the full answer of their case first."""
        batch = DecodeBatch([row.run for row in rows])
        met = teacher_force_together(batch, [row.wish.subject.compared.tokens for row in rows])
        for number, row, logits in zip(self._talk.add(batch), rows, met, strict=True):
            row.met = logits
            self.rows[number] = row
        self._newest = 0

    def step(self) -> Iterator[tuple[PlannedAnswer, AnswerResult]]:
        """Let every row say one more token; tells of those who have nothing more to say."""
        steps = self._talk.step()
        for number in sorted(self.rows.keys() - {number for number, _ in steps}):
            row = self.rows.pop(number)
            yield row.wish, row.told()
        for number, step in steps:
            self.rows[number].speech.add(step)
        self._newest += 1


def full_run_bytes(case: Case) -> int:
    """Count the bytes of the caches of a run with all visual tokens; its words are few."""
    return _bytes(case, [case.size.tokens] * case.size.layers)


def full_runs(cases: Sequence[Case]) -> list[answers.FullRun]:
    """Run several cases of one model with all visual tokens, side by side."""
    asked = [(case.prompt(), KEEP_ALL) for case in cases]
    runs: list[PrefillRun] = []
    for pack in pack_by_length(asked, lambda each: each[0].inputs_embeds.shape[1]):
        runs += prefill_together(cases[0].decoder, pack)
    talk, speeches = (
        DecodeLoop(cases[0].vlm.max_new_tokens),
        [answers.Generation(case) for case in cases],
    )
    talk.add(DecodeBatch(runs))
    while steps := talk.step():
        for number, step in steps:
            speeches[number].add(step)
    return [
        answers.finish_full_run(case, run, speech, math.nan)
        for case, run, speech in zip(cases, runs, speeches, strict=True)
    ]
