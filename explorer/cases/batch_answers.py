"""Pruned prompts that are decoded together, each for its own case: plans, rows, and their batch.

Prompts are prefilled together, as one row of tokens, and all rows are decoded step by step as one
batch: a step of the model costs little more for ten rows than for one. Knows cases, plans and
runs; not what the answers are for, nor in which order they come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from explorer.cases.answers import check_budget
from explorer.cases.case import Case, PromptCache
from explorer.cases.generation import (
    FullRun,
    Generation,
    compare_to_full,
    finish_full_run,
    measured,
)
from explorer.cases.method_maps import alive, plan_of
from explorer.cases.records import Answer
from explorer.errors import VisitorError
from explorer.inference.batch import DecodeBatch
from explorer.inference.decode import DecodeLoop, teacher_force_together
from explorer.inference.llm_layers import pack_by_length
from explorer.inference.prefill import KEEP_ALL, PrefillRun, PruningPlan, prefill_together
from explorer.methods import catalog
from explorer.metrics import cost
from explorer.vlm.progress import Progress, report

MAX_RUNNING = 32  # rows that may still be decoded when others are admitted
PHRASE = 10  # tokens that are decoded before that; many answers end within them
AnswerSpec = tuple[str, int]
"""A method's spec and a mean budget."""


@dataclass(frozen=True)
class AnswerResult:
    """What became of one `AnswerSpec`: an answer, or the sentence that says why there is none.

    cached: it was in the cache and not computed anew.
    """

    method: str
    budget: int
    answer: Answer | None
    error: str | None = None
    cached: bool = False


class CaseContext:
    """A case, its prompts, and the full run that its answers are compared with."""

    def __init__(self, case: Case, full_run: FullRun):
        self.case, self.full_run = case, full_run
        self.prompts = PromptCache(case, lambda: full_run.tokens)


@dataclass(frozen=True)
class PlannedAnswer:
    """An answer that is to be computed.

    parts: the layer from which on it differs from the run with all tokens; length: tokens that
    enter that layer, text included; cache_bytes: of its keys and values in all layers.
    """

    context: CaseContext
    method: str
    budget: int
    plan: PruningPlan
    parts: int
    length: int
    cache_bytes: int

    def result(self, answer: Answer | None, error: str | None = None) -> AnswerResult:
        """Give what became of it."""
        return AnswerResult(self.method, self.budget, answer, error)


@dataclass
class ActiveRow:
    """One prefilled run. full_logits [G, V]: teacher-forced with the tokens of the full answer."""

    planned: PlannedAnswer
    run: PrefillRun
    generation: Generation
    full_logits: Tensor | None = None

    def result(self) -> AnswerResult:
        """Give the complete answer, measured."""
        planned, context = self.planned, self.planned.context
        answer = self.generation.to_answer(self.run, planned.method, planned.budget)
        seconds = context.prompts.seconds(planned.plan.needs)
        answer = measured(context.case, self.run, answer, seconds, math.nan)
        return planned.result(compare_to_full(context.full_run, answer, self.full_logits))


def plan_answer(context: CaseContext, method: str, budget: int) -> PlannedAnswer:
    """Plan where tokens leave; `VisitorError` if the method can't do that."""
    case = context.case
    check_budget(budget, case.size.tokens)
    plan = plan_of(catalog.resolve(method), case.size, budget)
    lengths = alive(plan.stages, case.size).astype(int) + context.prompts.text_tokens
    parts = min((stage.layer for stage in plan.stages), default=0)
    length = int(lengths[min(parts, case.size.layers - 1)])
    nbytes = _cache_bytes(case, lengths.tolist())
    return PlannedAnswer(context, method, budget, plan, parts, length, nbytes)


def _cache_bytes(case: Case, lengths: Sequence[int]) -> int:
    """Count the bytes of keys and values; lengths [L]: tokens that enter each layer."""
    shape = cost.shape_of(case.decoder.body.config)
    return cost.kv_bytes(shape, lengths, case.vlm.model.dtype.itemsize)


def prefill_answers(
    planned: Sequence[PlannedAnswer], stop: Callable[[], bool]
) -> Generator[tuple[PlannedAnswer, AnswerResult], None, list[ActiveRow]]:
    """Prefill what methods leave; returns the rows, and gives a sentence for those that can't."""
    rows: list[ActiveRow] = []
    # runs of one case that part late are packed together: they share the layers before
    late_last = sorted(planned, key=lambda plan: plan.parts)
    packs = list(pack_by_length(late_last, lambda plan: plan.length))
    while packs and not stop():
        pack = packs.pop(0)
        try:
            prompts = [(each.context.prompts(each.plan.needs), each.plan) for each in pack]
            runs = prefill_together(pack[0].context.case.decoder, prompts)
        except VisitorError as error:
            if len(pack) > 1:  # one of them can't: each is tried by itself
                packs = [[each] for each in pack] + packs
            else:
                yield pack[0], pack[0].result(None, str(error))
            continue
        rows += [
            ActiveRow(each, run, Generation(each.context.case))
            for each, run in zip(pack, runs, strict=True)
        ]
    return rows


class AnswerBatch:
    """The rows that are being decoded: a continuous batch, to which new rows are admitted.

    room: bytes of their keys and values beyond which no row is admitted.
    """

    def __init__(self, limit: int, room: float = math.inf):
        self.rows: dict[int, ActiveRow] = {}
        self._loop, self._room = DecodeLoop(limit), room
        self._newest = 0  # tokens of the rows that were admitted last

    @property
    def open(self) -> bool:
        """Whether the newest rows have a phrase, and there is room for more."""
        if not self.rows:
            return True
        if self._newest < PHRASE or len(self.rows) > MAX_RUNNING:
            return False
        return sum(row.planned.cache_bytes for row in self.rows.values()) <= self._room

    def admit(self, rows: Sequence[ActiveRow]) -> None:
        """Decode more rows. All are teacher-forced with the full answer of their case first."""
        batch = DecodeBatch([row.run for row in rows])
        full_answers = [row.planned.context.full_run.tokens for row in rows]
        forced = teacher_force_together(batch, full_answers)
        for number, row, logits in zip(self._loop.add(batch), rows, forced, strict=True):
            row.full_logits = logits
            self.rows[number] = row
        self._newest = 0

    def step(self) -> Iterator[tuple[PlannedAnswer, AnswerResult]]:
        """Decode one more token of every row; gives the results of rows that are finished."""
        limit = self._loop.limit  # after which one more step gives what is finished
        report(Progress(min(self._newest + 1, limit), limit, "words"))
        steps = self._loop.step()
        for number in sorted(self.rows.keys() - {number for number, _ in steps}):
            row = self.rows.pop(number)
            yield row.planned, row.result()
        for number, step in steps:
            self.rows[number].generation.add(step)
        self._newest += 1


def full_run_bytes(case: Case) -> int:
    """Count the bytes of keys and values of a run with all visual tokens; its text is short."""
    return _cache_bytes(case, [case.size.tokens] * case.size.layers)


def full_runs(cases: Sequence[Case]) -> list[FullRun]:
    """Run several cases of one model with all visual tokens, as one batch."""
    prompts = [(case.prompt(), KEEP_ALL) for case in cases]
    runs: list[PrefillRun] = []
    for pack in pack_by_length(prompts, lambda each: each[0].inputs_embeds.shape[1]):
        runs += prefill_together(cases[0].decoder, pack)
    loop = DecodeLoop(cases[0].vlm.max_new_tokens)
    generations = [Generation(case) for case in cases]
    loop.add(DecodeBatch(runs))
    while steps := loop.step():
        for number, step in steps:
            generations[number].add(step)
    return [
        finish_full_run(case, run, generation, math.nan)
        for case, run, generation in zip(cases, runs, generations, strict=True)
    ]
