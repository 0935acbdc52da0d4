"""The rows of a leaderboard: methods, and the randoms that they are measured by.

Knows specs and names; not answers.
"""

from __future__ import annotations

from collections.abc import Iterable

from explorer.cases.generation import FULL
from explorer.methods import catalog, chance

KEEPING = ("clsattn", "divprune", "cdpruner", "mmtok", "visionzip")
"""Asked with positions kept as well, to tell the choice from what becomes of positions."""


def all_specs() -> list[str]:
    """List every method and variant, and some methods again with positions kept."""
    kept = [f"{name}?positions=keep" for name in KEEPING]
    return [method.spec for method in catalog.choices()] + kept


def rows_for(specs: Iterable[str]) -> list[str]:
    """List the rows of a table: the randoms that some methods are measured by, and the methods."""
    specs = list(specs)
    return list(dict.fromkeys([*chance.chances_of(specs), *specs]))


def draw_of(row: str, seed: int) -> str:
    """Give the spec that stands for a row for one scene or line."""
    if not chance.is_random(row):
        return row
    draws = chance.draws_of(row)
    return draws[seed % len(draws)]


def title(row: str) -> str:
    """Name a row for readers."""
    if row == FULL:
        return "All tokens"
    return chance.title_of(row) if chance.is_random(row) else catalog.title(row)
