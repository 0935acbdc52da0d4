"""The failures of a leaderboard of own pictures: a list of all, and cases that the page opens.

A failure is what analyses/failures calls one: right with all tokens, wrong after pruning. Where a
rule grades, right is half of the marks or more. Knows the answers of lines; not how they are got.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from explorer.analyses.failures.own_pictures import BadLine, OwnLine, opened
from explorer.analyses.sharing import case_file
from explorer.cases.answers import answer
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.request import CaseRequest
from explorer.errors import VisitorError
from explorer.methods import chance
from explorer.tools.distributed import Team
from explorer.tools.leaderboard.own_data import CACHE_BYTES, OwnData, answered
from explorer.tools.leaderboard.own_log import OwnAnswer
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import cpu_threads

RIGHT = 0.5  # of the marks
RUNS = 8  # of a case


@dataclass(frozen=True)
class OwnFailure:
    """A line that the full model gets right, and the answers that are wrong after pruning."""

    line: OwnLine
    full: OwnAnswer
    wrong: tuple[OwnAnswer, ...]


def failures(data: OwnData, log: Path) -> list[OwnFailure]:
    """List failures of methods, not of random; those first of which the full model was surest."""
    found = []
    for line, answers in _by_line(data, log):
        full = next((each for each in answers if each.row == FULL), None)
        if full is None or data.score(line, full.text) < RIGHT:
            continue
        wrong = [
            each
            for each in answers
            if each.row != FULL
            and not chance.is_random(each.row)
            and data.score(line, each.text) < RIGHT
        ]
        if wrong:
            found.append(OwnFailure(line, full, tuple(wrong)))
    return sorted(found, key=lambda each: (-each.full.sure, each.line.number))


def _by_line(data: OwnData, log: Path) -> Iterator[tuple[OwnLine, list[OwnAnswer]]]:
    line, answers = None, []
    for each, answer_ in answered(data, log):
        if line is not None and each.number != line.number:
            yield line, answers
            answers = []
        line = each
        answers.append(answer_)
    if line is not None:
        yield line, answers


def write_list(data: OwnData, found: list[OwnFailure], file: Path) -> None:
    """Write a line of JSON per failure, in fields that "Failures" of the page reads as well."""
    with file.open("w", encoding="utf-8") as lines:
        for each in found:
            for wrong in each.wrong:
                told = {
                    "picture": each.line.picture,
                    "question": each.line.prompt,
                    "answer": each.line.answer,
                    "line": each.line.number,
                    "method": wrong.row,
                    "budget": wrong.budget,
                    "full": each.full.text,
                    "said": wrong.text,
                    "score": round(data.score(each.line, wrong.text), 4),
                    "sure": round(each.full.sure, 4),
                }
                lines.write(json.dumps(told, ensure_ascii=False) + "\n")


def write_cases(data: OwnData, found: list[OwnFailure], folder: Path, team: Team) -> int:
    """Write failures as cases that the page opens, unless that is done; gives how many there are.

    folder: those of other failures, of an earlier table, are taken away.
    """
    folder.mkdir(exist_ok=True)
    names = {_name(data, each): each for each in found}
    for old in set(folder.glob("*.json")) - {folder / name for name in names}:
        old.unlink()
    missing = [(name, each) for name, each in names.items() if not (folder / name).exists()]
    for number, text in team.results(partial(_case, data), missing):
        if text:
            whole = folder / missing[number][0]
            part = whole.with_suffix(".part")
            part.write_text(text, encoding="utf-8")
            part.rename(whole)  # a file that is there is complete
    return sum((folder / name).exists() for name in names)


def _name(data: OwnData, failure: OwnFailure) -> str:
    """Name the file of a case by its line, its question, and which answers are wrong."""
    wrong = failure.wrong[0]
    method = "".join(letter if letter.isalnum() else "-" for letter in wrong.row)
    key = data.key(failure.line)
    return f"{failure.line.number:06}-{method}-{wrong.budget}-{key}.json"


def _case(data: OwnData, named: tuple[str, OwnFailure]) -> str:
    """Answer again what failed, with all that a case tells; empty where that can't be."""
    line, wrong = named[1].line, named[1].wrong[:RUNS]
    [found] = opened([line], data.folder)
    if isinstance(found, BadLine):
        return ""
    cache = ResultCache(CACHE_BYTES)
    try:
        request = CaseRequest.make(data.model, found.picture, line.prompt)
        with cpu_threads(default_loader().load(data.model).run_threads):
            full = answer(request, cache=cache)
            runs = [answer(request, each.row, each.budget, cache=cache) for each in wrong]
        return case_file.save(request, full, runs, line.answer)
    except VisitorError:  # such as a picture that is too large for a file
        return ""
