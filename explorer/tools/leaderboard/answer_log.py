"""The file that answers wait in while a leaderboard is measured, so that it may be interrupted.

One line of JSON per scene and run, written at once when a scene is done: which methods were asked
at which budgets, and what they answered. Knows files; not how answers are got.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from explorer.metrics.leaderboard.table import EvalRecord


@dataclass(frozen=True)
class Measured:
    """What one scene gave. rows: the methods that were asked, though some may not have answered."""

    seed: int
    rows: tuple[str, ...]
    budgets: tuple[int, ...]
    records: tuple[EvalRecord, ...]


def append(file: Path, measured: object) -> None:
    """Write what one scene gave behind the others."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(measured)) + "\n")


def read(file: Path) -> Iterator[Measured]:
    """Read what is there; see `read_lines`."""
    for told in read_lines(file):
        records = tuple(EvalRecord(**record) for record in told["records"])
        yield Measured(told["seed"], tuple(told["rows"]), tuple(told["budgets"]), records)


def read_lines(file: Path) -> Iterator[dict]:
    """Read every line; a last one that was cut off while it was written is taken away."""
    if not file.exists():
        return
    text = file.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        file.write_bytes(whole)
    yield from map(json.loads, whole.decode("utf-8").splitlines())


def done(measured: Sequence[Measured], budgets: Sequence[int]) -> dict[int, set[str]]:
    """Give for each seed the methods that need not be asked again at these budgets."""
    found: dict[int, set[str]] = {}
    for one in measured:
        if set(budgets) <= set(one.budgets):
            found.setdefault(one.seed, set()).update(one.rows)
    return found
