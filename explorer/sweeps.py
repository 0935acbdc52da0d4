"""Where does the answer break? Several methods over a ladder of mean budgets, on one case.

Pure functions: records in and out. `random` is always drawn several times, so that a method is read
against chance. Knows methods, ladders and answers; not maps or pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from explorer import comparison, together
from explorer import methods as known_methods
from explorer.answers import check_budget, reference
from explorer.cases import Case, Source, open_case
from explorer.errors import BadBudget
from explorer.families import Vlm
from explorer.maps import ladder
from explorer.memory import Memory
from explorer.results import Answer, Chance, Sweep, Swept

FIVE = ("clsattn", "divprune", "visionzip", "fastv", "visiondrop")  # unlike each other
PER_OCTAVE = 2  # rungs of the ladder in every doubling
MOST_BUDGETS = 32


def sweep(
    model: str | Vlm,
    image: Source,
    question: str,
    methods: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    memory: Memory | None = None,
    stop: Callable[[], bool] = together.never,
) -> Sweep:
    """Answer by several methods over a ladder of mean budgets, and tell where answers change.

    methods: specs such as "fastv" or "fopru:row"; None for `FIVE`. budgets: None for about 12 round
    ones and N. A method that can't go as low as the ladder starts at its floor. stop: asked between
    two steps; once true, what is not answered yet stays None. Raises `VisitorError`.
    """
    memory = Memory(comparison.MEMORY_BYTES) if memory is None else memory
    named = dict.fromkeys(FIVE if methods is None else methods)
    chosen = [spec for spec in named if spec not in comparison.DRAWS]
    for spec in chosen:
        known_methods.resolve(spec)
    case = open_case(model, image, question, memory)
    n = case.size.tokens
    asked = None if budgets is None else _checked(budgets, n)
    rungs = {spec: _rungs(case, spec, asked) for spec in (*comparison.DRAWS, *chosen)}
    found = _Found(case, reference(case, memory).answer)
    wanted = [(spec, rung) for spec, mine in rungs.items() for rung in mine if rung < n]
    wanted.sort(key=lambda wish: wish[1])  # runs of like length are decoded side by side
    for told in together.answers(model, case.picture, question, wanted, memory, stop):
        found.take(told)
    draws = tuple(found.swept(spec, rungs[spec]) for spec in comparison.DRAWS)
    ladder_ = rungs[comparison.DRAWS[0]]
    chance = tuple(found.chance(rung) for rung in ladder_)
    return Sweep(
        case=case.id,
        tokens=n,
        budgets=ladder_,
        full=found.full,
        per_token=comparison.is_long(found.full),
        methods=tuple(_beside(found.swept(s, rungs[s]), ladder_, chance) for s in chosen),
        draws=draws,
        random=chance,
    )


def _checked(budgets: Sequence[int], n: int) -> tuple[int, ...]:
    """Sort the budgets that somebody asks for; raises `BadBudget`."""
    if not 1 <= len(set(budgets)) <= MOST_BUDGETS:
        raise BadBudget(f"A sweep takes 1 to {MOST_BUDGETS} different budgets.")
    for budget in budgets:
        check_budget(budget, n)
    return tuple(sorted(set(budgets)))


def _rungs(case: Case, spec: str, asked: tuple[int, ...] | None) -> tuple[int, ...]:
    """List a method's budgets, ascending; its floor takes the place of all that are below it."""
    method, options = known_methods.resolve(spec)
    floor = method.floor(case.size, **options)
    if asked is None:
        return tuple(ladder(case.size.tokens, floor, PER_OCTAVE))
    return tuple(sorted({max(budget, floor) for budget in asked}))


@dataclass
class _Found:
    """What has been answered so far. At N every method is the full run, and nobody is asked."""

    case: Case
    full: Answer
    answers: dict[together.Wanted, Answer] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def take(self, told: together.Told) -> None:
        if told.answer is not None:
            self.answers[told.method, told.budget] = told.answer
        else:
            self.errors.setdefault(told.method, told.error)

    def answer(self, spec: str, budget: int) -> Answer | None:
        if budget == self.case.size.tokens:
            return replace(self.full, method=spec)
        return self.answers.get((spec, budget))

    def chance(self, budget: int) -> Chance | None:
        """Sum up the draws of random at a budget, once all are there."""
        draws = [self.answer(spec, budget) for spec in comparison.DRAWS]
        return None if None in draws else comparison.chance(draws, self.full)

    def swept(self, spec: str, budgets: tuple[int, ...]) -> Swept:
        answers = [self.answer(spec, budget) for budget in budgets]
        likely = [None if a is None else comparison.likeness(a, self.full) for a in answers]
        method, options = known_methods.resolve(spec)
        swept = Swept(
            method=spec,
            floor=method.floor(self.case.size, **options),
            budgets=budgets,
            answers=tuple(answers),
            likeness=tuple(likely),
            error=self.errors.get(spec),
        )
        if None in answers:
            return swept
        same = [answer.same for answer in answers]
        return replace(
            swept, safe=safe(budgets, same), flips=flips(same), area=area(budgets, likely)
        )


def _beside(swept: Swept, budgets: tuple[int, ...], chance: tuple[Chance | None, ...]) -> Swept:
    """Add what random reaches over the same budgets as a method; between two rungs on a line."""
    beyond = swept.budgets[0] < budgets[0] or swept.budgets[-1] > budgets[-1]
    if swept.area is None or None in chance or beyond:
        return swept
    mean = [each.likeness for each in chance]
    there = np.interp(np.log2(swept.budgets), np.log2(budgets), mean)
    return replace(swept, area_random=area(swept.budgets, there.tolist()))


def safe(budgets: Sequence[int], same: Sequence[bool]) -> int | None:
    """Give K*: the smallest budget from which on every larger one gives the full answer.

    budgets ascending. None where the largest one already doesn't.
    """
    found = None
    for budget, agrees in zip(reversed(budgets), reversed(same), strict=True):
        if not agrees:
            break
        found = budget
    return found


def flips(same: Sequence[bool]) -> int:
    """Count how often the full answer comes or goes along the ladder; 1 is a clean break."""
    return sum(a != b for a, b in pairwise(same))


def area(budgets: Sequence[int], heights: Sequence[float]) -> float:
    """Give the mean height of a curve over the logarithm of its budgets, by trapezoids.

    As the plot draws it, every halving counts alike. 1 is the best; of a single budget its height.
    """
    x, y = np.log2(np.asarray(budgets, float)), np.asarray(heights, float)
    if len(x) == 1:
        return float(y[0])
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / (x[-1] - x[0]))
