"""Find scenes on which a method fails and the full model does not.

`python -m explorer failures --method fastv --budget 64 [--against visionzip] [--scenes 100]`.
A failure is a question about a scene whose right answer is known: the method's answer is wrong,
that of the full model (or of the other method at the same budget) is right. Ranked by how sure the
one that is right was. Seeds make every failure repeatable. With `--shard 2/4` a machine looks at
its share of the scenes and writes what it found; `--merge` prints what all have found, as one would
have. Knows scenes and use cases; not pages.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from explorer.cases.answers import answer
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import prepare
from explorer.media.image import Picture, open_picture
from explorer.methods import catalog
from explorer.metrics.fidelity import agrees
from explorer.pico.data import scenes
from explorer.pico.data.questions import Question, sample

FIRST_SEED = 3_000_000  # the page draws its scenes below this
QUESTIONS = 3  # per scene
CACHE_BYTES = 64_000_000


@dataclass(frozen=True)
class Failure:
    """One question about one scene. sure: the probability that the right one gave its answer.

    wrong: what the method said; log_prob_loss: of the full answer, nats per token.
    """

    seed: int
    question: str
    kind: str
    truth: str
    wrong: str
    sure: float
    log_prob_loss: float


def find(
    method: str,
    budget: int,
    seeds: Iterable[int],
    against: str = FULL,
    model: str = "pico",
) -> Iterator[Failure | None]:
    """Look at the scenes one by one; gives each failure, and None for each scene that is done.

    Raises `VisitorError` if a method is unknown or the budget out of its reach.
    """
    catalog.resolve(method)
    if against != FULL:
        catalog.resolve(against)
    for seed in seeds:
        scene, cache = scenes.make(seed), ResultCache(CACHE_BYTES)
        picture = open_picture(scene.image)
        questions = sample(scene, random.Random(f"failures {seed}"), QUESTIONS)
        answers = _answers(model, picture, questions, against, budget, cache)
        right = [pair for pair in zip(questions, answers, strict=True) if _right(*pair)]
        questions = [question for question, _ in right]
        answers = _answers(model, picture, questions, method, budget, cache)
        for (question, sure), pruned in zip(right, answers, strict=True):
            if not _right(question, pruned):
                yield _failure(seed, question, sure, pruned)
        yield None


def _answers(
    model: str,
    picture: Picture,
    questions: Sequence[Question],
    method: str,
    budget: int,
    cache: ResultCache,
) -> list[Answer]:
    specs = [] if method == FULL else [(method, budget)]
    requests = [CaseRequest.make(model, picture, question.text) for question in questions]
    prepare([(request, specs) for request in requests], cache)
    return [answer(request, method, budget, cache=cache) for request in requests]


def _right(question: Question, answer: Answer) -> bool:
    return agrees(answer.text, question.answer)


def _failure(seed: int, question: Question, right: Answer, pruned: Answer) -> Failure:
    return Failure(
        seed=seed,
        question=question.text,
        kind=question.kind,
        truth=question.answer,
        wrong=pruned.text,
        sure=math.prod(token.probability for token in right.tokens),
        log_prob_loss=float(pruned.log_prob_loss),
    )


def ranked(failures: Sequence[Failure]) -> list[Failure]:
    """Put the ones first of which the right model was most sure."""
    return sorted(failures, key=lambda failure: (-failure.sure, failure.seed, failure.question))
