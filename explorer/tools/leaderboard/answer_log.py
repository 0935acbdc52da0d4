"""The file that answers wait in while a leaderboard is measured, so that it may be interrupted.

One line of JSON per scene and run: which methods were asked at which budgets, and what they
answered. Knows what a line holds; not how answers are got.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from explorer.metrics.leaderboard.table import EvalRecord
from explorer.tools.distributed.log import read_lines


@dataclass(frozen=True)
class Measured:
    """What one scene gave. weights: of the model, by their digest.

    rows: the methods that were asked, though some may not have answered.
    """

    seed: int
    weights: str
    rows: tuple[str, ...]
    budgets: tuple[int, ...]
    records: tuple[EvalRecord, ...]


def read(file: Path, weights: str) -> Iterator[Measured]:
    """Read what these weights have answered; see `read_lines`."""
    for told in read_lines(file, weights=weights):
        records = tuple(EvalRecord(**record) for record in told["records"])
        yield Measured(told["seed"], weights, tuple(told["rows"]), tuple(told["budgets"]), records)


def done(measured: Sequence[Measured], budgets: Sequence[int]) -> dict[int, set[str]]:
    """Give for each seed the methods that need not be asked again at these budgets."""
    found: dict[int, set[str]] = {}
    for one in measured:
        if set(budgets) <= set(one.budgets):
            found.setdefault(one.seed, set()).update(one.rows)
    return found
