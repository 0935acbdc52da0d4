"""Find scenes on which a method fails and the full model does not.

`python -m explorer failures --method fastv --budget 64 [--against visionzip] [--scenes 100]`.
Questions about a scene have right answers that are known. Seeds make every failure repeatable.
Knows scenes; not pages.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from explorer.analyses.failures.judging import Asked, Failure, check, judge
from explorer.cases.generation import FULL
from explorer.media.image import open_picture
from explorer.pico.data import scenes
from explorer.pico.data.questions import sample

FIRST_SEED = 3_000_000  # the page draws its scenes below this
QUESTIONS = 3  # per scene


def find(
    method: str,
    budget: int,
    seeds: Iterable[int],
    against: str = FULL,
    model: str = "pico",
    right: str = "truth",
) -> Iterator[Failure | None]:
    """Look at the scenes one by one; gives each failure, and None for each scene that is done.

    right: what counts as right, see `judge`. Raises `VisitorError` if a method is unknown or the
    budget out of its reach.
    """
    check(method, against, right)
    for seed in seeds:
        yield from judge(asked_of(seed), method, budget, against, model, right)
        yield None


def asked_of(seed: int) -> list[Asked]:
    """Draw the questions about a scene, always the same ones."""
    scene = scenes.make(seed)
    picture = open_picture(scene.image)
    drawn = sample(scene, random.Random(f"failures {seed}"), QUESTIONS)
    return [Asked(picture, each.text, each.answer, each.kind, seed) for each in drawn]
