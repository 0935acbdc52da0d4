"""How firmly an answer stands: over budgets, random choices, and other ways to ask for it.

Definitions of our own (metrics/effects/stability.py). Other words and the converse question come
from the grammar of the built-in scenes. Knows methods and answers; not pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from explorer.analyses.effects.probes import budgets_for, check_method
from explorer.cases.answers import check_budget, full_run
from explorer.cases.batch_answers import AnswerSpec
from explorer.cases.cache import CacheKey, ResultCache
from explorer.cases.case import open_case
from explorer.cases.generation import FULL
from explorer.cases.gpu import CachedAs, GpuCost, use_case
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many, never
from explorer.methods import catalog
from explorer.methods.chance import subsets_of
from explorer.metrics.budget_curve import k_star, n_flips
from explorer.metrics.effects.stability import (
    GRID,
    budget_grid,
    share_that_keep,
    verdict_changes,
)
from explorer.metrics.fidelity import agrees
from explorer.pico.data import rephrasing

MOST_WORDINGS = 2  # other wordings that are asked
ABOUT = 2 * GRID + 5 * (2 + MOST_WORDINGS)  # answers


@dataclass(frozen=True)
class Rung:
    """An answer at one budget of the grid. length: tokens; agrees: with the full answer."""

    budget: int
    text: str
    length: int
    verdict_changes: int
    agrees: bool


@dataclass(frozen=True)
class Asked:
    """The question asked in another way at one budget. kind: "paraphrase" or "converse".

    answer: to the question itself; expected: what consistency wants; said: what came; consistent:
    whether that is it, right or wrong.
    """

    kind: str
    budget: int
    answer: str
    question: str
    expected: str
    said: str
    consistent: bool


@dataclass(frozen=True)
class Stability:
    """How firmly one method's answer stands on one picture.

    rungs: ascending. k_star: the smallest budget from which on all give the full answer, None where
    even the largest doesn't; flips: how often that answer comes or goes. subsets: answers from
    random choices of `budget` tokens; subsets_keep: the share of them that keeps the full answer;
    method_keeps: whether the method does there. asked: other wordings and the converse; empty where
    the grammar has none. Nothing is asked back about a thing of which the model counts several.
    """

    method: str
    full: str
    rungs: tuple[Rung, ...]
    k_star: int | None
    flips: int
    budget: int
    subsets: tuple[str, ...]
    subsets_keep: float
    method_keeps: bool | None
    asked: tuple[Asked, ...]


def stability_key(case: str, method: str, budget: int) -> CacheKey:
    """Name a result in the cache; case: its id."""
    return CacheKey("stability", case, (method, budget))


@use_case(
    cost=GpuCost(answers=ABOUT),
    cached=CachedAs(
        lambda request, method, budget: stability_key(request.id, method, budget),
        lambda found: 40_000,
    ),
    check=check_method,
)
def stability(
    request: CaseRequest,
    method: str,
    budget: int,
    *,
    cache: ResultCache | None = None,
    stop: Callable[[], bool] = never,
) -> Stability | None:
    """Ask over a grid of ten budgets, with ten random choices, in other words, the other way round.

    budget: of the random choices. None once `stop` is true. Raises `VisitorError`.
    """
    case = open_case(request, cache)
    n, floor = case.size.tokens, catalog.resolve(method).floor(case.size)
    check_budget(budget, n)
    full = full_run(case, cache).answer
    budgets = budget_grid(n, floor)
    subsets = [(spec, budget) for spec in subsets_of(method)] if budget < n else []
    own = [(method, each) for each in {*budgets, max(budget, floor)} if each < n]
    given = _answers(request, [*own, *subsets], cache, stop)
    asked = list(_asked_otherwise(request, method, given, full, cache, stop))
    if stop():
        return None
    given |= {(method, n): full}
    rungs = tuple(_rung(b, given[method, b], full) for b in budgets if (method, b) in given)
    texts = tuple(given[spec].text for spec in subsets if spec in given)
    at_budget = given.get((method, max(budget, floor)))
    same = [rung.agrees for rung in rungs]
    return Stability(
        method=method,
        full=full.text,
        rungs=rungs,
        k_star=k_star([rung.budget for rung in rungs], same),
        flips=n_flips(same),
        budget=budget,
        subsets=texts,
        subsets_keep=share_that_keep(texts or [full.text], full.text),
        method_keeps=None if at_budget is None else agrees(at_budget.text, full.text),
        asked=tuple(asked),
    )


def _answers(
    request: CaseRequest,
    specs: Sequence[AnswerSpec],
    cache: ResultCache | None,
    stop: Callable[[], bool],
) -> dict[AnswerSpec, Answer]:
    """Answer what can be answered."""
    found = answer_many(request, specs, cache=cache, stop=stop)
    return {(r.method, r.budget): r.answer for r in found if r.answer is not None}


def _rung(budget: int, answer: Answer, full: Answer) -> Rung:
    return Rung(
        budget=budget,
        text=answer.text,
        length=len(answer.tokens),
        verdict_changes=verdict_changes(answer.text),
        agrees=agrees(answer.text, full.text),
    )


def _asked_otherwise(
    request: CaseRequest,
    method: str,
    given: dict[AnswerSpec, Answer],
    full: Answer,
    cache: ResultCache | None,
    stop: Callable[[], bool],
) -> Iterator[Asked]:
    """Ask in other words and the other way round, with all tokens and at the shares."""
    case = open_case(request, cache)
    n = case.size.tokens
    rungs = dict.fromkeys([n, *(reached for _, reached in budgets_for(case, method))])
    missing = [(method, each) for each in rungs if each < n and (method, each) not in given]
    own = given | _answers(request, missing, cache, stop) | {(method, n): full}
    for other in rephrasing.paraphrases(request.question)[:MOST_WORDINGS]:
        answers = _at(replace(request, question=other), method, rungs, cache, stop)
        for budget, said in answers.items():
            if (mine := own.get((method, budget))) is not None:
                same = agrees(mine.text, said)
                yield Asked("paraphrase", budget, mine.text, other, mine.text, said, same)
    for budget in rungs:
        mine = own.get((method, budget))
        back = None if mine is None else rephrasing.converse(request.question, mine.text)
        if back is None or not _is_single(request, back.counted, cache, stop):
            continue
        answers = _at(replace(request, question=back.question), method, [budget], cache, stop)
        for said in answers.values():
            yield Asked(
                "converse", budget, mine.text, back.question, back.expected, said, back.holds(said)
            )


def _is_single(
    request: CaseRequest, counted: str, cache: ResultCache | None, stop: Callable[[], bool]
) -> bool:
    """Tell whether the model, from all tokens, counts one of what the converse asks back about."""
    if not counted:
        return True
    asked = replace(request, question=counted)
    n = open_case(asked, cache).size.tokens
    return _at(asked, FULL, [n], cache, stop)[n].strip() == rephrasing.ONE


def _at(
    request: CaseRequest,
    method: str,
    budgets: Iterable[int],
    cache: ResultCache | None,
    stop: Callable[[], bool],
) -> dict[int, str]:
    """Give what a method answers at some budgets, of which N is the full run."""
    case = open_case(request, cache)
    n = case.size.tokens
    found = {n: full_run(case, cache).answer.text} if n in budgets else {}
    wanted = [(method, budget) for budget in budgets if budget < n]
    answers = _answers(request, wanted, cache, stop)
    return found | {budget: answer.text for (_, budget), answer in answers.items()}
