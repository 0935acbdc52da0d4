"""Where does the answer break? Several methods over a ladder of mean budgets, on one case.

Pure functions: records in and out. `random` is always drawn several times, so that a method is read
against chance. Knows methods, ladders and answers; not maps or pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from explorer.analyses import comparison
from explorer.analyses.comparison import Chance
from explorer.cases import batch_answers, scheduler
from explorer.cases.answers import check_budget, full_run
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case, open_case
from explorer.cases.method_maps import ladder
from explorer.cases.records import Answer
from explorer.cases.request import Source
from explorer.errors import BadBudget
from explorer.methods import catalog
from explorer.metrics.budget_curve import auc, k_star, n_flips
from explorer.vlm.components import Vlm

FIVE = ("clsattn", "divprune", "visionzip", "fastv", "visiondrop")  # unlike each other
PER_OCTAVE = 2  # rungs of the ladder in every doubling
MOST_BUDGETS = 32


def sweep(
    model: str | Vlm,
    image: Source,
    question: str,
    methods: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    memory: ResultCache | None = None,
    stop: Callable[[], bool] = scheduler.never,
) -> Sweep:
    """Answer by several methods over a ladder of mean budgets, and tell where answers change.

    methods: specs such as "fastv" or "fopru:row"; None for `FIVE`. budgets: None for about 12 round
    ones and N. A method that can't go as low as the ladder starts at its floor. stop: asked between
    two steps; once true, what is not answered yet stays None. Raises `VisitorError`.
    """
    memory = ResultCache(comparison.MEMORY_BYTES) if memory is None else memory
    named = dict.fromkeys(FIVE if methods is None else methods)
    chosen = [spec for spec in named if spec not in comparison.DRAWS]
    for spec in chosen:
        catalog.resolve(spec)
    case = open_case(model, image, question, memory)
    n = case.size.tokens
    asked = None if budgets is None else _checked(budgets, n)
    rungs = {spec: _rungs(case, spec, asked) for spec in (*comparison.DRAWS, *chosen)}
    found = _Found(case, full_run(case, memory).answer)
    wanted = [(spec, rung) for spec, mine in rungs.items() for rung in mine if rung < n]
    wanted.sort(key=lambda wish: wish[1])  # runs of like length are decoded side by side
    for told in scheduler.answer_many(model, case.picture, question, wanted, memory, stop):
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
    floor = catalog.resolve(spec).floor(case.size)
    if asked is None:
        return tuple(ladder(case.size.tokens, floor, PER_OCTAVE))
    return tuple(sorted({max(budget, floor) for budget in asked}))


@dataclass
class _Found:
    """What has been answered so far. At N every method is the full run, and nobody is asked."""

    case: Case
    full: Answer
    answers: dict[batch_answers.AnswerSpec, Answer] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def take(self, told: batch_answers.AnswerResult) -> None:
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
        likely = [None if a is None else comparison.likelihood(a, self.full) for a in answers]
        swept = Swept(
            method=spec,
            floor=catalog.resolve(spec).floor(self.case.size),
            budgets=budgets,
            answers=tuple(answers),
            likeness=tuple(likely),
            error=self.errors.get(spec),
        )
        if None in answers:
            return swept
        same = [answer.same for answer in answers]
        return replace(
            swept, safe=k_star(budgets, same), flips=n_flips(same), area=auc(budgets, likely)
        )


def _beside(swept: Swept, budgets: tuple[int, ...], chance: tuple[Chance | None, ...]) -> Swept:
    """Add what random reaches over the same budgets as a method; between two rungs on a line."""
    beyond = swept.budgets[0] < budgets[0] or swept.budgets[-1] > budgets[-1]
    if swept.area is None or None in chance or beyond:
        return swept
    mean = [each.likeness for each in chance]
    there = np.interp(np.log2(swept.budgets), np.log2(budgets), mean)
    return replace(swept, area_random=auc(swept.budgets, there.tolist()))


@dataclass(frozen=True)
class Swept:
    """One method over a ladder of budgets, ascending; None where an answer is missing.

    floor: the smallest mean budget it can reach. likeness: see `comparison.likelihood`. safe: K*,
    the smallest budget from which on every larger one gives the full answer. flips: how often that
    answer comes or goes. area: under likeness; area_random: what random has over the same budgets;
    see `sweeps`. error: why there is no answer.
    """

    method: str
    floor: int
    budgets: tuple[int, ...]
    answers: tuple[Answer | None, ...]
    likeness: tuple[float | None, ...]
    safe: int | None = None
    flips: int | None = None
    area: float | None = None
    area_random: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Sweep:
    """Methods over a ladder of mean budgets on one case.

    budgets: the ladder; a method that can't go as low has fewer, and its floor. draws: random, seed
    by seed; random: the draws at each budget of the ladder together. per_token: as in `Comparison`.
    """

    case: str
    tokens: int
    budgets: tuple[int, ...]
    full: Answer
    per_token: bool
    methods: tuple[Swept, ...]
    draws: tuple[Swept, ...]
    random: tuple[Chance | None, ...]
