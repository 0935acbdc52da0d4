"""What a failure is: a method answers wrongly where the full model, or another method, is right.

Ranked by how sure the one that is right was. Knows questions about pictures and use cases; not
where they come from, nor pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from explorer.cases.answers import answer
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import prepare
from explorer.errors import BadMessage
from explorer.media.image import Picture
from explorer.methods import catalog
from explorer.metrics.fidelity import agrees

CACHE_BYTES = 64_000_000
RIGHT = {
    "truth": "the known right answer",
    "full": "the full model's answer, right or wrong",
}
"""What counts as right; a question without a known answer is always measured by the full one."""


@dataclass(frozen=True)
class Asked:
    """One question about one picture. truth: None where nobody knows the right answer.

    seed: of a scene; name: of an own picture.
    """

    picture: Picture
    question: str
    truth: str | None
    kind: str = ""
    seed: int | None = None
    name: str = ""


@dataclass(frozen=True)
class Failure:
    """One question about one picture. sure: the probability that the right one gave its answer.

    truth: what counted as right; wrong: what the method said; log_prob_loss: of the full answer,
    nats per token. seed: of a scene; picture: the name of an own one.
    """

    seed: int | None
    question: str
    kind: str
    truth: str
    wrong: str
    sure: float
    log_prob_loss: float
    picture: str = ""


def judge(
    asked: Sequence[Asked],
    method: str,
    budget: int,
    against: str = FULL,
    model: str = "pico",
    right: str = "truth",
    cache: ResultCache | None = None,
) -> list[Failure]:
    """Give those of the questions on which the method fails, in their order.

    against: who has to be right there: the full model, or another method at the same budget. right:
    what counts as right, a key of `RIGHT`. Raises `VisitorError`.
    """
    check(method, against, right)
    cache = ResultCache(CACHE_BYTES) if cache is None else cache
    truths = [each.truth if right == "truth" else None for each in asked]
    if None in truths:
        fulls = _answers(model, asked, FULL, budget, cache)
        truths = [
            full.text if truth is None else truth for truth, full in zip(truths, fulls, strict=True)
        ]
    sure = _answers(model, asked, against, budget, cache)
    found = [
        each for each in zip(asked, truths, sure, strict=True) if agrees(each[2].text, each[1])
    ]
    said = _answers(model, [each for each, *_ in found], method, budget, cache)
    return [
        _failure(each, truth, sure, pruned)
        for (each, truth, sure), pruned in zip(found, said, strict=True)
        if not agrees(pruned.text, truth)
    ]


def check(method: str, against: str, right: str) -> None:
    """Raise `VisitorError` if a method is unknown, or what counts as right."""
    catalog.resolve(method)
    if against != FULL:
        catalog.resolve(against)
    if right not in RIGHT:
        raise BadMessage(f"What counts as right is one of {', '.join(RIGHT)}, not {right!r}.")


def _answers(
    model: str, asked: Sequence[Asked], method: str, budget: int, cache: ResultCache
) -> list[Answer]:
    specs = [] if method == FULL else [(method, budget)]
    requests = [CaseRequest.make(model, each.picture, each.question) for each in asked]
    prepare([(request, specs) for request in requests], cache)
    return [answer(request, method, budget, cache=cache) for request in requests]


def _failure(asked: Asked, truth: str, right: Answer, pruned: Answer) -> Failure:
    return Failure(
        seed=asked.seed,
        question=asked.question,
        kind=asked.kind,
        truth=truth,
        wrong=pruned.text,
        sure=math.prod(token.probability for token in right.tokens),
        log_prob_loss=float(pruned.log_prob_loss),
        picture=asked.name,
    )


def ranked(failures: Sequence[Failure]) -> list[Failure]:
    """Put the ones first of which the right model was most sure."""

    def order(each: Failure) -> tuple[float, int, str, str]:
        return -each.sure, each.seed or 0, each.picture, each.question

    return sorted(failures, key=order)
