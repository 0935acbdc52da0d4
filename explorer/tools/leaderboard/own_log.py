"""What a leaderboard of own pictures writes down: what every method said, unscored.

So that other accepted answers, or another rule, need no answer anew. Knows what a line holds; not
how answers are got.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from explorer.tools.distributed.log import read_lines


@dataclass(frozen=True)
class OwnAnswer:
    """What a row said at a budget. sure: the probability of the whole answer; see `EvalRecord`."""

    row: str
    budget: int
    text: str
    sure: float
    agrees: bool
    log_prob_loss: float
    flops: float
    kv: float


@dataclass(frozen=True)
class OwnMeasured:
    """What one question about one picture gave, to a model. key: of picture and question.

    rows: that were asked, though some may not have answered; refused: why, by row.
    """

    key: str
    model: str
    rows: tuple[str, ...]
    budgets: tuple[int, ...]
    answers: tuple[OwnAnswer, ...]
    refused: dict[str, str]


def read(file: Path, model: str) -> Iterator[OwnMeasured]:
    """Read what a model has answered."""
    for told in read_lines(file, model=model):
        answers = tuple(OwnAnswer(**answer) for answer in told.pop("answers"))
        rows, budgets = tuple(told.pop("rows")), tuple(told.pop("budgets"))
        yield OwnMeasured(**told, rows=rows, budgets=budgets, answers=answers)


def done(file: Path, model: str, budgets: Sequence[int]) -> dict[str, set[str]]:
    """Give for each key the rows that need not be asked again at these budgets."""
    found: dict[str, set[str]] = {}
    for one in read(file, model):
        if set(budgets) <= set(one.budgets):
            found.setdefault(one.key, set()).update(one.rows)
    return found
