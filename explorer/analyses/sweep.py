"""Where does the answer break? Several methods over a ladder of mean budgets, on one case.

Pure functions: records in and out. A method is read against several draws of the random that
differs from it in the choice alone (methods/chance.py). Knows methods, ladders and answers; not
maps or pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from explorer.analyses import comparison
from explorer.analyses.comparison import Chance
from explorer.cases.answers import check_budget, full_run
from explorer.cases.batch_answers import AnswerResult, AnswerSpec
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case, open_case
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.method_maps import ladder
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many, never
from explorer.errors import BadBudget
from explorer.methods import catalog
from explorer.methods.chance import chance_of, chances_of, draws_of
from explorer.metrics.budget_curve import auc, k_star, n_flips

FIVE = ("clsattn", "divprune", "visionzip", "fastv", "visiondrop")  # unlike each other
PER_OCTAVE = 2  # rungs of the ladder in every doubling
MAX_BUDGETS = 32
ABOUT = 160  # answers of a sweep: five methods at up to twelve budgets, and draws of three randoms


def _check_specs(request: CaseRequest, methods: Sequence[str] | None, **_: object) -> None:
    for spec in methods or ():
        if spec not in comparison.DRAWS:
            catalog.resolve(spec)


@use_case(cost=GpuCost(answers=ABOUT, maps=True), check=_check_specs)
def sweep(
    request: CaseRequest,
    methods: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    *,
    cache: ResultCache | None = None,
    stop: Callable[[], bool] = never,
) -> Sweep:
    """Answer by several methods over a ladder of mean budgets, and tell where answers change.

    methods: specs such as "fastv" or "fopru:row"; None for `FIVE`. budgets: None for about 12 round
    ones and N. A method that can't go as low as the ladder starts at its floor. stop: asked between
    two steps; once true, what is not answered yet stays None. Raises `VisitorError`.
    """
    specs = dict.fromkeys(FIVE if methods is None else methods)
    chosen = [spec for spec in specs if spec not in comparison.DRAWS]
    case = open_case(request, cache)
    n = case.size.tokens
    checked = None if budgets is None else _checked(budgets, n)
    randoms = chances_of(["random", *chosen])
    draws = [draw for random in randoms for draw in draws_of(random)]
    rungs = {spec: _rungs(case, spec, checked) for spec in (*draws, *chosen)}
    if checked is None:
        rungs |= {
            spec: _every_second(rungs[spec]) for spec in draws if spec not in comparison.DRAWS
        }
    answers = _Answers(case, full_run(case, cache).answer)
    pairs = [(spec, rung) for spec, mine in rungs.items() for rung in mine if rung < n]
    pairs.sort(key=lambda pair: pair[1])  # runs of like length are decoded side by side
    for result in answer_many(request, pairs, cache=cache, stop=stop):
        answers.add(result)
    chances = {
        random: tuple(answers.chance(random, rung) for rung in rungs[random]) for random in randoms
    }
    return Sweep(
        case=case.id,
        tokens=n,
        budgets=rungs["random"],
        full=answers.full,
        per_token=comparison.is_long(answers.full),
        methods=tuple(
            _beside(answers.swept(s, rungs[s]), rungs[chance_of(s)], chances[chance_of(s)])
            for s in chosen
        ),
        draws=tuple(answers.swept(spec, rungs[spec]) for spec in comparison.DRAWS),
        random=chances["random"],
    )


def _checked(budgets: Sequence[int], n: int) -> tuple[int, ...]:
    """Sort the budgets of a request; raises `BadBudget`."""
    if not 1 <= len(set(budgets)) <= MAX_BUDGETS:
        raise BadBudget(f"A sweep takes 1 to {MAX_BUDGETS} different budgets.")
    for budget in budgets:
        check_budget(budget, n)
    return tuple(sorted(set(budgets)))


def _rungs(case: Case, spec: str, budgets: tuple[int, ...] | None) -> tuple[int, ...]:
    """List a method's budgets, ascending; its floor takes the place of all that are below it."""
    floor = catalog.resolve(spec).floor(case.size)
    if budgets is None:
        return ladder(case.size.tokens, floor, PER_OCTAVE)
    return tuple(sorted({max(budget, floor) for budget in budgets}))


def _every_second(rungs: tuple[int, ...]) -> tuple[int, ...]:
    """Thin a ladder out: lines between rungs tell as much of a mean over draws as more answers."""
    return (*rungs[:-1:2], rungs[-1])


@dataclass
class _Answers:
    """The answers so far. At N tokens every method gives the full run, which is not run again."""

    case: Case
    full: Answer
    answers: dict[AnswerSpec, Answer] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def add(self, result: AnswerResult) -> None:
        if result.answer is not None:
            self.answers[result.method, result.budget] = result.answer
        else:
            self.errors.setdefault(result.method, result.error)

    def answer(self, spec: str, budget: int) -> Answer | None:
        if budget == self.case.size.tokens:
            return replace(self.full, method=spec)
        return self.answers.get((spec, budget))

    def chance(self, random: str, budget: int) -> Chance | None:
        """Sum up the draws of a random at a budget, once all are there."""
        draws = [self.answer(spec, budget) for spec in draws_of(random)]
        return None if None in draws else comparison.chance(random, budget, draws, self.full)

    def swept(self, spec: str, budgets: tuple[int, ...]) -> Swept:
        answers = [self.answer(spec, budget) for budget in budgets]
        p = [None if a is None else comparison.likelihood(a, self.full) for a in answers]
        swept = Swept(
            method=spec,
            floor=catalog.resolve(spec).floor(self.case.size),
            budgets=budgets,
            answers=tuple(answers),
            likelihood=tuple(p),
            error=self.errors.get(spec),
        )
        if None in answers:
            return swept
        agrees = [answer.agrees for answer in answers]
        return replace(
            swept, k_star=k_star(budgets, agrees), n_flips=n_flips(agrees), auc=auc(budgets, p)
        )


def _beside(swept: Swept, budgets: tuple[int, ...], chance: tuple[Chance | None, ...]) -> Swept:
    """Add what a method's random reaches over its budgets; between two rungs on a line."""
    swept = replace(swept, random=chance)
    beyond = swept.budgets[0] < budgets[0] or swept.budgets[-1] > budgets[-1]
    if swept.auc is None or None in chance or beyond:
        return swept
    mean = [each.likelihood for each in chance]
    at_its_budgets = np.interp(np.log2(swept.budgets), np.log2(budgets), mean)
    return replace(swept, auc_random=auc(swept.budgets, at_its_budgets.tolist()))


@dataclass(frozen=True)
class Swept:
    """One method over a ladder of budgets, ascending; None where an answer is missing.

    floor: the smallest mean budget it can reach. likelihood: see the function of that name.
    k_star: the smallest budget from which on every larger one gives the full answer. n_flips: how
    often that answer comes or goes. random: the random that it is read against, at each of that
    one's own budgets. auc: under the likelihood; auc_random: what that random has over the same
    budgets; see budget_curve.py. error: why there is no answer.
    """

    method: str
    floor: int
    budgets: tuple[int, ...]
    answers: tuple[Answer | None, ...]
    likelihood: tuple[float | None, ...]
    k_star: int | None = None
    n_flips: int | None = None
    auc: float | None = None
    auc_random: float | None = None
    random: tuple[Chance | None, ...] = ()
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
