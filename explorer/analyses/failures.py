"""Find scenes on which a method fails and the full model does not.

`python -m explorer failures --method fastv --budget 64 [--against visionzip] [--scenes 100]`.
A hit is a question about a scene whose right answer is known: the method's answer is wrong, that of
the full model (or of the other method at the same budget) is right. Ranked by how sure the one that
is right was. Seeds make every hit repeatable. With `--shard 2/4` a machine looks at its share of
the scenes and writes what it found; `--merge` prints what all have found, as one would have. Knows
scenes and use cases; not pages.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from explorer.analyses import api
from explorer.cases import answers
from explorer.cases.cache import ResultCache
from explorer.cases.records import Answer
from explorer.media.image import Picture, open_picture
from explorer.methods import catalog
from explorer.metrics.fidelity import agrees
from explorer.pico.data import scenes
from explorer.pico.data.questions import Question, sample

FIRST_SEED = 3_000_000  # the page draws its scenes below this
QUESTIONS = 3  # per scene
MEMORY_BYTES = 64_000_000


@dataclass(frozen=True)
class Failure:
    """One question about one scene. sure: the probability that the right one gave its answer.

    wrong: what the method said; drop: what it lost of the full answer, nats per token.
    """

    seed: int
    question: str
    kind: str
    truth: str
    wrong: str
    sure: float
    drop: float


def find(
    method: str,
    budget: int,
    seeds: Iterable[int],
    against: str = answers.FULL,
    model: str = "pico",
) -> Iterator[Failure | None]:
    """Look at the scenes one by one; gives each failure, and None for each scene that is done.

    Raises `VisitorError` if a method is unknown or the budget out of its reach.
    """
    catalog.resolve(method)
    if against != answers.FULL:
        catalog.resolve(against)
    for seed in seeds:
        scene, memory = scenes.make(seed), ResultCache(MEMORY_BYTES)
        picture = open_picture(scene.image)
        asked = sample(scene, random.Random(f"failures {seed}"), QUESTIONS)
        said = _answers(model, picture, asked, against, budget, memory)
        right = [pair for pair in zip(asked, said, strict=True) if _right(*pair)]
        asked = [question for question, _ in right]
        said = _answers(model, picture, asked, method, budget, memory)
        for (question, surely), pruned in zip(right, said, strict=True):
            if not _right(question, pruned):
                yield _failure(seed, question, surely, pruned)
        yield None


def _answers(
    model: str,
    picture: Picture,
    asked: Sequence[Question],
    method: str,
    budget: int,
    memory: ResultCache,
) -> list[Answer]:
    wishes = [] if method == answers.FULL else [(method, budget)]
    api.prepare(model, [(picture, question.text, wishes) for question in asked], memory)
    return [api.answer(model, picture, q.text, method, budget, memory) for q in asked]


def _right(question: Question, answer: Answer) -> bool:
    return agrees(answer.text, question.answer)


def _failure(seed: int, asked: Question, right: Answer, pruned: Answer) -> Failure:
    return Failure(
        seed=seed,
        question=asked.text,
        kind=asked.kind,
        truth=asked.answer,
        wrong=pruned.text,
        sure=math.prod(token.probability for token in right.tokens),
        drop=float(pruned.drop),
    )


def ranked(found: Sequence[Failure]) -> list[Failure]:
    """Put the ones first of which the right model was most sure."""
    return sorted(found, key=lambda failure: (-failure.sure, failure.seed, failure.question))
