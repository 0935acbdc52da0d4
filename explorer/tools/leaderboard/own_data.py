"""A leaderboard of own pictures: what is asked, of whom, and how right the answers are.

A question is known by its picture's name and size and by its words, so that it is answered once
however its line is moved, and scored by the accepted answers that its line has when the table is
made. Lines are read one by one; what they hold says analyses/failures/own_pictures.py.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from explorer.analyses.failures.own_pictures import BadLine, OwnLine, opened, streamed
from explorer.cases.answers import answer as answer_case
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many
from explorer.errors import BadPicture, BadQuestion, OutOfMemory
from explorer.methods import chance
from explorer.metrics.effects.pope import Confusion, says_yes
from explorer.metrics.leaderboard.table import EvalRecord
from explorer.metrics.scoring import rules
from explorer.tools.distributed import Team, progress
from explorer.tools.distributed.log import append
from explorer.tools.leaderboard import own_log
from explorer.tools.leaderboard.own_log import OwnAnswer, OwnMeasured
from explorer.tools.leaderboard.rows import draw_of
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import cpu_threads

CACHE_BYTES = 64_000_000
AUTO = "auto"  # the rule that suits each line


@dataclass(frozen=True)
class OwnData:
    """A file of lines about the pictures of a folder, and what is asked about them.

    rows: specs of methods, and of randoms without a draw. rule: a key of `RULES`, or `AUTO`.
    """

    file: Path
    folder: Path
    model: str
    rows: tuple[str, ...]
    budgets: tuple[int, ...]
    rule: str = AUTO

    def lines(self) -> Iterator[OwnLine | BadLine]:
        """Read all lines; one whose accepted answers can't be scored is a bad one."""
        for line in streamed(self.file):
            yield line if isinstance(line, BadLine) else self._checked(line)

    def _checked(self, line: OwnLine) -> OwnLine | BadLine:
        if not line.accepted:
            return BadLine(line.number, "it has no accepted answer")
        try:
            self.score(line, "")
        except ValueError as error:
            return BadLine(line.number, str(error))
        return line

    def rule_of(self, line: OwnLine) -> str:
        """Name the rule by which a line is scored."""
        return rules.rule_for(line.accepted, line.choices) if self.rule == AUTO else self.rule

    def score(self, line: OwnLine, said: str) -> float:
        """Score what was said, 0 to 1."""
        return rules.score(self.rule_of(line), said, line.accepted, line.choices)

    def key(self, line: OwnLine) -> str:
        """Name a question about a picture, as it is now."""
        try:
            nbytes = (self.folder / line.picture).stat().st_size
        except (OSError, ValueError):  # such as a null byte in its name; it is told when opened
            nbytes = 0
        told = json.dumps([line.picture, nbytes, line.prompt])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


# ---- asking -------------------------------------------------------------------------------------

Asked = tuple[OwnLine, str, tuple[str, ...]]
"""A line, its key, and the rows that are to answer it."""


def evaluate(data: OwnData, asked: Asked) -> OwnMeasured | BadLine:
    """Ask one question, every row at every budget that it can reach, or say why that can't be."""
    line, key, rows = asked
    [found] = opened([line], data.folder)
    if isinstance(found, BadLine):
        return found
    drawn = {draw_of(row, int(key, 16)): row for row in rows}
    specs = [(spec, budget) for spec in drawn for budget in data.budgets]
    cache, refused = ResultCache(CACHE_BYTES), {}
    try:
        with cpu_threads(default_loader().load(data.model).run_threads):
            request = CaseRequest.make(data.model, found.picture, line.prompt)
            full = answer_case(request, cache=cache)
            answers = [_told(FULL, full, full)]
            for result in answer_many(request, specs, cache=cache):
                row = drawn[result.method]
                if result.answer is None:
                    refused[row] = result.error
                else:
                    answers.append(_told(row, result.answer, full))
    except (BadPicture, BadQuestion, OutOfMemory) as error:
        return BadLine(line.number, f"{line.picture}: {error}")
    order = {row: number for number, row in enumerate([FULL, *rows])}
    answers.sort(key=lambda each: (order[each.row], each.budget))
    refused = {row: refused[row] for row in rows if row in refused}
    return OwnMeasured(key, data.model, tuple(rows), data.budgets, tuple(answers), refused)


def _told(row: str, answer: Answer, full: Answer) -> OwnAnswer:
    return OwnAnswer(
        row,
        1 if row == FULL else answer.budget,
        answer.text,
        sure=math.prod(token.probability for token in answer.tokens),
        agrees=bool(answer.agrees),
        log_prob_loss=float(answer.log_prob_loss),
        flops=answer.flops / full.flops,
        kv=answer.kv_bytes / full.kv_bytes,
    )


@dataclass
class Filled:
    """How asking went. asked: questions that were asked now; skipped: lines that can't be used."""

    asked: int = 0
    skipped: list[BadLine] = field(default_factory=list)

    def skip(self, line: BadLine) -> None:
        """Leave a line out and say so."""
        print(f"skipped, {line}", flush=True)
        self.skipped.append(line)


def fill(data: OwnData, log: Path, team: Team) -> Filled:
    """Ask what the log doesn't have, and say how far it is and which lines are left out."""
    known, filled = own_log.done(log, data.model, data.budgets), Filled()
    total = 0
    for each in _missing(data, known):
        if isinstance(each, BadLine):
            filled.skip(each)
        else:
            total += 1
    items = (each for each in _missing(data, known) if not isinstance(each, BadLine))
    results = team.results(partial(evaluate, data), items)
    for _, one in progress.told(results, total, "questions"):
        if isinstance(one, BadLine):
            filled.skip(one)
        else:
            append(log, one)
            filled.asked += 1
    return filled


def _missing(data: OwnData, known: dict[str, set[str]]) -> Iterator[Asked | BadLine]:
    """Give what is still to be asked, each question once, and the lines that can't be."""
    handed = set()
    for line in data.lines():
        if isinstance(line, BadLine):
            yield line
            continue
        key = data.key(line)
        rows = tuple(row for row in data.rows if row not in known.get(key, ()))
        if (rows or key not in known) and key not in handed:
            handed.add(key)
            yield line, key, rows


# ---- the answers of the lines -------------------------------------------------------------------


def answered(data: OwnData, log: Path) -> Iterator[tuple[OwnLine, OwnAnswer]]:
    """Give every line with every answer that the table shows, in the order of lines and rows."""
    order = {row: number for number, row in enumerate([FULL, *data.rows])}
    budgets, found = {1, *data.budgets}, {}
    for one in own_log.read(log, data.model):
        for answer in one.answers:
            if answer.row in order and (answer.row == FULL or answer.budget in budgets):
                found.setdefault(one.key, {})[answer.row, answer.budget] = answer
    for line in data.lines():
        if isinstance(line, OwnLine):
            answers = found.get(data.key(line), {}).values()
            for each in sorted(answers, key=lambda each: (order[each.row], each.budget)):
                yield line, each


def records(data: OwnData, log: Path) -> Iterator[EvalRecord]:
    """Score the answers of every line. seed: the line's number; kind: its rule."""
    for line, answer in answered(data, log):
        yield EvalRecord(
            line.number,
            line.question,
            data.rule_of(line),
            method=answer.row,
            budget=answer.budget,
            right=data.score(line, answer.text),
            agrees=answer.agrees,
            log_prob_loss=answer.log_prob_loss,
            flops=answer.flops,
            kv=answer.kv,
            random="" if answer.row == FULL else chance.chance_of(answer.row),
        )


def yes_no(data: OwnData, log: Path) -> pd.DataFrame:
    """Count yes and no as POPE does: F1 and the share of yes, by method and budget."""
    said = {}
    for line, answer in answered(data, log):
        if data.rule_of(line) == "yesno":
            pairs = said.setdefault((answer.row, answer.budget), [])
            pairs.append((says_yes(answer.text), rules.is_yes(line.accepted)))
    found = [(*row, Confusion.of(*zip(*pairs, strict=True))) for row, pairs in said.items()]
    counted = [(row, budget, each.f1, each.yes_ratio) for row, budget, each in found]
    return pd.DataFrame(counted, columns=["method", "budget", "f1", "yes"])


def refusals(data: OwnData, log: Path) -> dict[str, str]:
    """Say why a row answered nothing at all, by row."""
    said, answering = {}, set()
    for one in own_log.read(log, data.model):
        said |= one.refused
        answering |= {answer.row for answer in one.answers}
    return {row: said[row] for row in data.rows if row in said and row not in answering}
