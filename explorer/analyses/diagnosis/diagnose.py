"""Why does an answer fail after pruning? The use case that runs all steps and ends in a verdict.

Knows the examination and its verdicts; not pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from explorer.analyses.diagnosis.evidence import NamedBox
from explorer.analyses.diagnosis.examination import Examination
from explorer.analyses.diagnosis.records import Diagnosis, StepResult
from explorer.analyses.diagnosis.sentences import Reasons, sentence_of
from explorer.analyses.diagnosis.verdict import Verdict, decide
from explorer.cases.answers import check_budget
from explorer.cases.cache import CacheKey, ResultCache
from explorer.cases.case import open_case
from explorer.cases.gpu import CachedAs, GpuCost, use_case
from explorer.cases.request import CaseRequest
from explorer.errors import BadAnswer
from explorer.methods import catalog
from explorer.vlm.progress import Progress

ABOUT = 400  # answers that one diagnosis costs: a search, an explanation, and a dozen runs
MAX_TRUTH = 200  # characters of a right answer
BYTES = 20_000  # of a cached diagnosis, about


def diagnosis_key(
    case: str, method: str, budget: int, truth: str | None, things: Sequence[NamedBox] = ()
) -> CacheKey:
    """Name a diagnosis in the cache; case: its id."""
    return CacheKey("diagnosis", case, (method, budget, truth, tuple(things)))


def _check(request: CaseRequest, method: str, truth: str | None, **_: object) -> None:
    catalog.resolve(method)
    if truth is not None and not 0 < len(truth.strip()) <= MAX_TRUTH:
        raise BadAnswer(f"The right answer has 1 to {MAX_TRUTH} characters.")


@use_case(
    cost=GpuCost(answers=ABOUT),
    cached=CachedAs(
        lambda request, method, budget, truth, things: diagnosis_key(
            request.id, method, budget, truth, things
        ),
        nbytes=lambda found: BYTES,
        events=lambda found: (*found.steps, found),
    ),
    check=_check,
)
def diagnose(
    request: CaseRequest,
    method: str,
    budget: int,
    truth: str | None = None,
    things: Sequence[NamedBox] = (),
    *,
    cache: ResultCache | None = None,
) -> Iterator[Progress | StepResult | Diagnosis]:
    """Give every step as it begins (a `Progress`), goes on and ends, and at last the diagnosis.

    truth: the right answer; None where nobody knows it: the full answer stands in for it then.
    things: of the picture, so that patches have names. Raises `VisitorError`.
    """
    case = open_case(request, cache)
    check_budget(budget, case.size.tokens)
    seen = Examination(case, request, method, budget, truth, things, cache)
    for key, step in seen.plan.items():
        yield Progress(stage=key)
        result = yield from step()
        seen.steps.append(result)
        yield result
    yield _diagnosis(seen)


def _diagnosis(seen: Examination) -> Diagnosis:
    verdict = decide(seen.findings())
    why = Reasons(
        method=catalog.title(seen.method),
        budget=seen.budget,
        right=seen.right,
        full=seen.full.text,
        pruned=seen.pruned.text,
        blind=seen.blind.text,
        old=seen.resolved.positions == "renumber",
        returned=seen.words(seen.restored),
        spread=seen.words(seen.spread) if seen.spread else "",
    )
    return Diagnosis(
        case=seen.case.id,
        method=seen.method,
        budget=seen.budget,
        truth=seen.truth,
        full=seen.full.text,
        pruned=seen.pruned.text,
        verdict=verdict,
        sentence=sentence_of(verdict, why),
        steps=tuple(seen.steps),
        patches=seen.restored if verdict is Verdict.EVIDENCE else (),
    )
