"""Which random a method is fairly compared with: one that differs from it in the choice alone.

Whether those that stay keep their positions, and how many layers read all tokens, changes an answer
whoever is chosen. So a method before the language model stands against random with its own rule for
positions, one inside it against random dropped at its layers. Knows specs; not answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from explorer.methods import catalog
from explorer.methods.baselines.random import Random
from explorer.methods.baselines.random_inside import SCHEDULES, RandomInside
from explorer.methods.method import Method
from explorer.methods.signals import Size, Stage

SIZES = (
    Size(576, 32, 24, frames=9),
    Size(196, 8, 14),
)  # LLaVA-1.5 and pico: where schedules are compared
MORE_SEEDS = Random.options()["seed"].values
SEEDS = MORE_SEEDS[:5]  # of a comparison


def is_random(spec: str) -> bool:
    """Tell whether a spec names a draw of random itself."""
    return isinstance(catalog.resolve(spec), Random | RandomInside)


@lru_cache(maxsize=256)
def chance_of(spec: str) -> str:
    """Name the random (seed 0) that a method is compared with; a draw of random names its own.

    "random", "random?positions=keep", "random_inside?schedule_of=pyramiddrop&positions=renumber".
    Raises `UnknownMethod`, and `LookupError` for a schedule that no random has.
    """
    method = catalog.resolve(spec)
    if isinstance(method, Random | RandomInside):
        return replace(method, seed=SEEDS[0]).spec
    if all(stage.layer == 0 for stage in _leaving(method, SIZES[0], SIZES[0].tokens - 1)):
        return Random(positions=method.positions).spec
    for name, known in SCHEDULES.items():
        if all(_alike(method, known, size) for size in SIZES):
            return RandomInside(schedule_of=name, positions=method.positions).spec
    raise LookupError(f"no random drops tokens where {spec} does: name it in SCHEDULES")


def draws_of(chance: str) -> tuple[str, ...]:
    """Name the draws, one per seed, of what `chance_of` gives."""
    baseline = catalog.resolve(chance)
    return tuple(replace(baseline, seed=seed).spec for seed in SEEDS)


def subsets_of(spec: str) -> tuple[str, ...]:
    """Name ten random choices before the language model that count positions as a method does."""
    positions = catalog.resolve(spec).positions
    return tuple(Random(seed=seed, positions=positions).spec for seed in MORE_SEEDS)


def chances_of(specs: Iterable[str]) -> list[str]:
    """Name every random that some methods are compared with, once."""
    return list(dict.fromkeys(map(chance_of, specs)))


def title_of(chance: str) -> str:
    """Name what `chance_of` gives so that it says what it is: "Random where FastV drops"."""
    baseline = catalog.resolve(chance)
    where = ""
    if isinstance(baseline, RandomInside):
        where = f" where {catalog.title(baseline.schedule_of)} drops"
    usual = type(baseline)().positions == baseline.positions
    words = catalog.IN_WORDS[f"positions={baseline.positions}"]
    return f"Random{where}" + ("" if usual else f" · {words}")


def _alike(one: Method, other: Method, size: Size) -> bool:
    """Tell whether two methods drop the same numbers at the same layers, at any budget tried."""
    least = one.floor(size)
    budgets = (least, (least + size.tokens) // 2, size.tokens)
    return least == other.floor(size) and all(
        _leaving(one, size, budget) == _leaving(other, size, budget) for budget in budgets
    )


def _leaving(method: Method, size: Size, budget: int) -> list[Stage]:
    """List stages that always act, by the tokens that are left and what becomes of the caches."""
    stages = method.schedule(size, budget)
    return [replace(each, keep=each.total, merge=0) for each in stages if not each.optional]
