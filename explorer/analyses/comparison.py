"""All methods on the same picture at the same budget: who keeps what, who still answers the same.

Pure functions: records in and out. Three baselines are always among the methods. A method is
measured by several draws of the random that differs from it in the choice alone
(methods/chance.py): one that loses to chance is seen to lose, and no other. Knows methods, maps
and answers; not pages. Letters: M methods, N visual tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.analyses.overview import draw, score_all
from explorer.cases.answers import check_budget
from explorer.cases.batch_answers import AnswerResult
from explorer.cases.cache import ResultCache
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.records import Analysis, Answer, MethodMap
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many
from explorer.methods import catalog
from explorer.methods.chance import chance_of, draws_of, is_random
from explorer.metrics import agreement

BASELINES = ("random", "uniform", "pool")
DRAWS = draws_of("random")
PHRASE = 8  # tokens; the probability of a longer answer is told per token
ABOUT_ALL = 80  # answers of all methods, and five draws of each random they are measured by, about


def _check_specs(request: CaseRequest, methods: Sequence[str] | None, **_: object) -> None:
    for spec in methods or ():
        catalog.resolve(spec)


@use_case(
    cost=lambda request, budget, methods: GpuCost(ABOUT_ALL if methods is None else 20, maps=True),
    check=_check_specs,
)
def compare(
    request: CaseRequest,
    budget: int,
    methods: Sequence[str] | None = None,
    *,
    cache: ResultCache | None = None,
) -> Comparison:
    """Let methods answer at one mean budget and measure how far they agree.

    methods: specs such as "fastv", "fopru:row" or "hired?alpha=0.25"; None for all but the slow
    ones. `random`, `uniform` and `pool` are always among them. A method whose floor is above the
    budget runs at its floor, and is marked. Raises `VisitorError` with one clear sentence.
    """
    analysis = score_all(request, cache=cache)
    full, n = analysis.full, analysis.grid.count
    check_budget(budget, n)
    maps = _maps(request, analysis, methods, cache)
    at = {each.spec: max(budget, each.floor) for each in maps}
    randoms = dict.fromkeys([("random", budget), *((chance_of(spec), b) for spec, b in at.items())])
    specs = [*at.items(), *((draw, b) for random, b in randoms for draw in draws_of(random))]
    results = {
        (each.method, each.budget): each
        for each in answer_many(request, list(dict.fromkeys(specs)), cache=cache)
    }
    chances = {
        (random, b): chance(random, b, [results[draw, b].answer for draw in draws_of(random)], full)
        for random, b in randoms
    }
    compared = tuple(
        _compared(
            each,
            budget,
            results[each.spec, at[each.spec]],
            full,
            chances[chance_of(each.spec), at[each.spec]],
        )
        for each in maps
    )
    return Comparison(
        case=analysis.id,
        budget=budget,
        tokens=n,
        full=full,
        per_token=is_long(full),
        methods=compared,
        random=chances["random", budget],
        jaccard=agreement.jaccard([each.kept for each in compared], n),
        spearman=agreement.spearman(np.stack([each.score for each in compared])),
        keep_counts=agreement.keep_counts(
            [each.kept for each in compared if each.method not in BASELINES], n
        ),
        notes=analysis.notes,
    )


def _maps(
    request: CaseRequest,
    analysis: Analysis,
    methods: Sequence[str] | None,
    cache: ResultCache | None,
) -> list[MethodMap]:
    """Collect the maps of the chosen methods, baselines first; what is not there yet is drawn."""
    ready = {each.spec: each for each in analysis.methods}
    if methods is None:
        return list(ready.values())
    specs = dict.fromkeys([*BASELINES, *methods])
    return [ready[s] if s in ready else draw(request, s, cache=cache) for s in specs]


def _compared(
    method_map: MethodMap, budget: int, result: AnswerResult, full: Answer, random: Chance
) -> Compared:
    answer = result.answer
    p = None if answer is None else likelihood(answer, full)
    judged = answer is not None and not is_random(method_map.spec)
    return Compared(
        method=method_map.spec,
        budget=result.budget,
        reached=result.budget == budget,
        score=method_map.score,
        kept=np.empty(0, np.int64) if answer is None else answer.stages[-1].kept,
        cached=result.cached,
        answer=answer,
        likelihood=p,
        random=random,
        worse=is_worse(p, random) if judged else None,
        error=result.error,
    )


def is_long(full: Answer) -> bool:
    """Tell whether an answer is longer than a phrase."""
    return len(full.tokens) > PHRASE


def likelihood(answer: Answer, full: Answer) -> float:
    """Give the probability of the full answer in a pruned run; per token if it is a long one.

    A product of many probabilities is close to 0 whatever a method does; its geometric mean per
    token is not. Our definition.
    """
    if not is_long(full):
        return float(answer.p_full)
    tokens = len(full.tokens) + 1  # and the end
    return math.exp(math.log(max(full.p_full, 1e-300)) / tokens - answer.log_prob_loss)


def is_worse(p: float, random: Chance) -> bool:
    """Tell whether a probability is smaller than in every draw of random, at the two digits shown.

    If a method were one more draw, it would be the smallest of six in one case of six: a hint on
    one question, not a test. Our rule.
    """
    return round(p, 2) < round(random.lowest, 2)


def chance(method: str, budget: int, draws: Sequence[Answer], full: Answer) -> Chance:
    """Sum up several draws of a random at a budget."""
    p = np.array([likelihood(answer, full) for answer in draws])
    return Chance(
        method=method,
        budget=budget,
        draws=tuple(draws),
        likelihood=float(p.mean()),
        lowest=float(p.min()),
        spread=float(p.std(ddof=1)) if len(p) > 1 else 0.0,
        same=float(np.mean([answer.agrees for answer in draws])),
    )


@dataclass(frozen=True)
class Compared:
    """One method in a comparison.

    budget: the mean budget it ran at: the one asked for, or its floor where that is above it
    (reached is then False). kept: patches that are alive as they were after its last stage; none
    where all are merged. score [N] float32. cached: not computed anew. likelihood: of
    the full answer, see the function of that name. random: what its own random does at its budget.
    worse: whether it is below all of those draws, see `is_worse`; None for random itself. error:
    why there is no answer.
    """

    method: str
    budget: int
    reached: bool
    score: np.ndarray
    kept: np.ndarray
    cached: bool = False
    answer: Answer | None = None
    likelihood: float | None = None
    random: Chance | None = None
    worse: bool | None = None
    error: str | None = None

    @property
    def select_seconds(self) -> float | None:
        """What choosing the tokens took, signals included."""
        return None if self.answer is None else self.answer.seconds["select"]


@dataclass(frozen=True)
class Chance:
    """What random patches do: mean, smallest and spread (standard deviation) over several draws.

    method: the spec of the random, see methods/chance.py. same: share of the draws that give the
    full answer.
    """

    method: str
    budget: int
    draws: tuple[Answer, ...]
    likelihood: float
    lowest: float
    spread: float
    same: float


@dataclass(frozen=True)
class Comparison:
    """Methods side by side on one case.

    per_token: a likelihood is a mean per token of a long answer. random: patches drawn before the
    language model and counted anew; what a method is measured by is its own `random`. jaccard,
    spearman [M, M] in the order of `methods`: of kept patches and of scores, NaN where one of the
    two keeps none or scores all alike. keep_counts [N]: how many methods keep each patch, baselines
    left out. notes:
    sentences, one of them for each method that can't run on this model.
    """

    case: str
    budget: int
    tokens: int
    full: Answer
    per_token: bool
    methods: tuple[Compared, ...]
    random: Chance
    jaccard: np.ndarray
    spearman: np.ndarray
    keep_counts: np.ndarray
    notes: tuple[str, ...]
