"""Does pruning put things into a caption that are not there, or leave some out? CHAIR and recall.

The full model, a method and its random describe one picture at shares of all tokens. Knows methods,
answers and the names of things; not pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from explorer.analyses.effects.probes import SHARES, budgets_for, check_method
from explorer.analyses.effects.things import lexicon
from explorer.cases.answers import full_run
from explorer.cases.cache import CacheKey, ResultCache
from explorer.cases.case import open_case
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many, never
from explorer.methods.chance import chance_of
from explorer.metrics.effects.chair import Captioned, Lexicon
from explorer.metrics.effects.stability import verdict_changes

QUESTION = "Describe the picture."
CAPTION_BYTES = 5_000  # of what is kept of a caption, about


@dataclass(frozen=True)
class Caption:
    """One caption, read.

    method, budget, wished: as of a `ProbeAnswer`. read: what it names. length: tokens.
    verdict_changes: how often it goes over from "yes" to "no" or back.
    """

    method: str
    budget: int
    wished: int
    text: str
    read: Captioned
    length: int
    verdict_changes: int


def captions_key(case: str, method: str) -> CacheKey:
    """Name the newest captions that were asked for beside a case, by its id."""
    return CacheKey("captions", case, (method,))


@use_case(cost=GpuCost(answers=1 + 2 * len(SHARES)), check=check_method)
def describe(
    request: CaseRequest,
    there: Sequence[Sequence[str]],
    method: str,
    *,
    cache: ResultCache | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[Caption]:
    """Give captions as they come, the full model's first; the request's question is put aside.

    there: the things that are in the picture, each with other words for it, its name first. What
    can't be answered is left out. Raises `VisitorError`.
    """
    asked = replace(request, question=QUESTION)
    case, words = open_case(asked, cache), lexicon(there)
    names = [group[0] for group in there]
    full = full_run(case, cache).answer
    found = [_read(full, full.budget, names, words)]
    yield found[0]
    budgets = budgets_for(case, method)
    wished = {reached: each for each, reached in budgets}
    specs = [
        (spec, reached)
        for spec in dict.fromkeys((method, chance_of(method)))
        for _, reached in budgets
    ]
    for result in answer_many(asked, specs, cache=cache, stop=stop):
        if result.answer is not None:
            found.append(_read(result.answer, wished[result.budget], names, words))
            yield found[-1]
    if cache is not None and not stop():
        cache.put(captions_key(request.id, method), tuple(found), CAPTION_BYTES * len(found))


def _read(answer: Answer, wished: int, there: Sequence[str], words: Lexicon) -> Caption:
    return Caption(
        method=answer.method,
        budget=answer.budget,
        wished=wished,
        text=answer.text,
        read=Captioned.of(answer.text, there, words),
        length=len(answer.tokens),
        verdict_changes=verdict_changes(answer.text),
    )
