"""Find scenes on which a method fails and the full model does not.

`python -m explorer.failures --method fastv --budget 64 [--against visionzip] [--scenes 100]`.
A hit is a question about a scene whose right answer is known: the method's answer is wrong, that of
the full model (or of the other method at the same budget) is right. Ranked by how sure the one that
is right was. Seeds make every hit repeatable. Knows scenes and use cases; not pages.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from explorer import jobs, methods
from explorer.fidelity import agrees
from explorer.memory import Memory
from explorer.pico import scenes
from explorer.pico.questions import Question, sample
from explorer.picture import open_picture
from explorer.results import Answer

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
    against: str = jobs.FULL,
    model: str = "pico",
) -> Iterator[Failure | None]:
    """Look at the scenes one by one; gives each failure, and None for each scene that is done.

    Raises `VisitorError` if a method is unknown or the budget out of its reach.
    """
    methods.resolve(method)
    if against != jobs.FULL:
        methods.resolve(against)
    for seed in seeds:
        scene, memory = scenes.make(seed), Memory(MEMORY_BYTES)
        picture = open_picture(scene.image)
        for asked in sample(scene, random.Random(f"failures {seed}"), QUESTIONS):
            case = (model, picture, asked.text)
            right = jobs.answer(*case, against, budget, memory)
            if not agrees(right.text, asked.answer):
                continue
            pruned = jobs.answer(*case, method, budget, memory)
            if not agrees(pruned.text, asked.answer):
                yield _failure(seed, asked, right, pruned)
        yield None


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


def main() -> None:
    """Print the failures of a method, the surest first."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--method", required=True, help="a method's key, such as visionzip")
    parser.add_argument("--budget", type=int, required=True, help="mean visual tokens kept")
    parser.add_argument("--against", default=jobs.FULL, help="another method, or full")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first scene")
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.scenes)
    hits = [f for f in find(chosen.method, chosen.budget, seeds, chosen.against) if f]
    for hit in ranked(hits):
        print(
            f"seed {hit.seed}  sure {hit.sure:.2f}  {hit.question}  "
            f"right: {hit.truth}  {chosen.method}: {hit.wrong}"
        )
    print(f"{len(hits)} failures in {chosen.scenes} scenes, {QUESTIONS} questions each")


if __name__ == "__main__":
    main()
