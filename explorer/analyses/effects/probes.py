"""Does pruning make a model see what is not there? "Is there a ...?", thing by thing and budget.

Every thing is a question of its own, asked of the full model, of a method at shares of all tokens,
and of the random that differs from it in the choice alone. Knows methods, answers and things; not
pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from explorer.analyses.effects.things import AskedThing
from explorer.cases.answers import full_run
from explorer.cases.cache import CacheKey, ResultCache
from explorer.cases.case import Case, open_case
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many, never
from explorer.media import grid
from explorer.methods import catalog
from explorer.methods.chance import chance_of
from explorer.metrics.effects import pope

SHARES = (75, 50, 25, 10)  # per cent of all tokens, below the full run
THING_BYTES = 10_000  # of what is kept of a probed thing, about


@dataclass(frozen=True)
class ProbeAnswer:
    """What a run said about one thing.

    method, budget: "full" for all tokens; wished: the budget of the ladder, which is smaller where
    the method can't go so low. p_yes, p_no: probabilities of the first token, over all spellings,
    None where the model has no token for them. says_yes: by POPE's rule for the text. mistake:
    "hallucinated", "lost" or "". change: "fixed" or "broken" against the full run, or "". covered:
    the share of the thing's boxes under kept patches.
    """

    method: str
    budget: int
    wished: int
    text: str
    p_yes: float | None
    p_no: float | None
    says_yes: bool
    mistake: str
    change: str = ""
    covered: float | None = None

    @property
    def share_yes(self) -> float | None:
        """P(yes) of yes and no together."""
        if self.p_yes is None or self.p_no is None or not self.p_yes + self.p_no:
            return None
        return self.p_yes / (self.p_yes + self.p_no)


@dataclass(frozen=True)
class ProbedThing:
    """All that was said about a thing: with all tokens, and by method and random (their specs).

    errors: why a method could not be asked.
    """

    thing: AskedThing
    full: ProbeAnswer
    answers: tuple[ProbeAnswer, ...]
    errors: tuple[str, ...] = ()


def budgets_for(case: Case, spec: str) -> list[tuple[int, int]]:
    """List (wished, reached) mean budgets of a method, largest first."""
    n, floor = case.size.tokens, catalog.resolve(spec).floor(case.size)
    wished = dict.fromkeys(max(1, round(n * share / 100)) for share in SHARES)
    return [(each, max(each, floor)) for each in wished if each < n]


def probes_key(case: str, method: str) -> CacheKey:
    """Name the newest probes that were asked beside a case, by its id."""
    return CacheKey("probes", case, (method,))


def check_method(request: CaseRequest, method: str, **_: object) -> None:
    """Refuse a method that there isn't, before a model is touched."""
    catalog.resolve(method)


@use_case(
    cost=lambda request, things, **_: GpuCost(answers=len(things) * (1 + 2 * len(SHARES))),
    check=check_method,
)
def probe(
    request: CaseRequest,
    things: Sequence[AskedThing],
    method: str,
    *,
    cache: ResultCache | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[ProbedThing]:
    """Ask about things one by one; the question of the request is put aside.

    method: a spec such as "fastv". Raises `VisitorError`.
    """
    found: list[ProbedThing] = []
    for thing in things:
        asked = replace(request, question=thing.question)
        probed = _probed(asked, thing, method, cache, stop)
        if stop():
            return
        found.append(probed)
        yield probed
    if cache is not None:
        cache.put(probes_key(request.id, method), tuple(found), THING_BYTES * len(found))


def _probed(
    request: CaseRequest,
    thing: AskedThing,
    method: str,
    cache: ResultCache | None,
    stop: Callable[[], bool],
) -> ProbedThing:
    case = open_case(request, cache)
    budgets = budgets_for(case, method)
    rows = list(dict.fromkeys((method, chance_of(method))))
    specs = [(spec, reached) for spec in rows for _, reached in budgets]
    full = full_run(case, cache).answer
    given: dict[tuple[str, int], Answer] = {}
    errors: dict[str, str] = {}
    for result in answer_many(request, specs, cache=cache, stop=stop):
        if result.answer is None:
            errors[result.method] = result.error or ""
        else:
            given[result.method, result.budget] = result.answer
    if case.size.tokens in [reached for _, reached in budgets]:  # a floor as high as all tokens
        given |= {(spec, case.size.tokens): full for spec in rows}
    whole = _read(case, thing, full, case.size.tokens, None)
    answers = [
        replace(
            _read(case, thing, given[spec, reached], wished, whole),
            method=spec,
            budget=reached,
        )
        for spec in rows
        for wished, reached in budgets
        if (spec, reached) in given
    ]
    return ProbedThing(thing, whole, tuple(answers), tuple(dict.fromkeys(errors.values())))


def _read(
    case: Case, thing: AskedThing, answer: Answer, wished: int, full: ProbeAnswer | None
) -> ProbeAnswer:
    """Read an answer; full: the one that it is held against."""
    yes = pope.says_yes(answer.text)
    p_yes, p_no = answer.yes_no or (None, None)
    return ProbeAnswer(
        method=answer.method,
        budget=answer.budget,
        wished=wished,
        text=answer.text,
        p_yes=p_yes,
        p_no=p_no,
        says_yes=yes,
        mistake=pope.mistake(yes, thing.there),
        change="" if full is None else pope.change(full.says_yes, yes, thing.there),
        covered=_covered(case, thing, answer),
    )


def _covered(case: Case, thing: AskedThing, answer: Answer) -> float | None:
    """Give the mean share of the thing's boxes that lies under what is left at the last stage."""
    if not thing.boxes:
        return None
    kept = answer.stages[-1].kept if answer.stages else np.arange(case.size.tokens)
    return float(np.mean([grid.share(case.vision.grid, box, kept) for box in thing.boxes]))
