"""Questions that pico was asked, with every answer and every row of attention that is looked at.

Puts the questions and gathers what came; knows not what is read off it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from torch import Tensor

from explorer.cases.answers import full_run
from explorer.cases.batch_answers import AnswerSpec
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.generation import FULL
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many
from explorer.inference.prefill import prefill
from explorer.media.grid import touched
from explorer.metrics.fidelity import agrees
from explorer.pico.data import scenes
from explorer.pico.data.questions import Question, sample
from explorer.pico.data.scenes import Scene
from explorer.tools.phenomena.swap import Swap, swap

FIRST_SEED = 2_500_000_000  # neither training, evaluation nor the leaderboard goes there


@dataclass(frozen=True)
class Observation:
    """One question. answers: by method and budget, the full one too, as (FULL, N).

    to_first, to_picture [L]: the shares of attention that the prompt's last token pays to the first
    token and to all visual tokens, mean over heads, none pruned. boxes [N, 4]: of the patches, in
    pixels of the picture. swaps: of some methods, where the question is about a single thing.
    """

    scene: Scene
    question: Question
    answers: Mapping[AnswerSpec, Answer]
    to_first: Tensor
    to_picture: Tensor
    boxes: np.ndarray
    swaps: Mapping[AnswerSpec, Swap] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Visual tokens of the picture."""
        return len(self.boxes)

    @property
    def full(self) -> Answer:
        """The answer from all of them."""
        return self.answers[FULL, self.tokens]

    def right(self, method: str, budget: int) -> bool:
        """Tell whether a pruned answer is the right one."""
        return self.is_right(self.answers[method, budget])

    def is_right(self, answer: Answer) -> bool:
        """Tell whether an answer is the right one."""
        return agrees(answer.text, self.question.answer)

    @property
    def one_target(self) -> bool:
        """Tell whether the question is about a single thing."""
        return is_about_one(self.question)

    def target_kept(self, method: str, budget: int) -> np.ndarray:
        """Tell of each patch under the first thing asked about whether it stays to the end."""
        on_it = touched(self.boxes, self.question.targets[0].box)
        return self.answers[method, budget].stages[-1].fate[on_it] == 0


def is_about_one(question: Question) -> bool:
    """Tell whether a question is about a single thing."""
    return len(question.targets) == 1


def observe(
    seeds: Iterable[int],
    specs: Sequence[AnswerSpec],
    swapped: Mapping[AnswerSpec, AnswerSpec] = MappingProxyType({}),
    model: str = "pico",
) -> Iterator[Observation]:
    """Put one question about each scene and answer it by every method at its budget.

    swapped: methods among them, each with the random with which it exchanges tokens; see swap.py.
    """
    for seed in seeds:
        scene, cache = scenes.make(seed), ResultCache(64_000_000)
        (question,) = sample(scene, random.Random(f"phenomena {seed}"), 1)
        request = CaseRequest.make(model, scene.image, question.text)
        case = open_case(request, cache)
        answers = {(FULL, case.size.tokens): full_run(case, cache).answer}
        for result in answer_many(request, list(specs), cache=cache):
            if result.answer is None:
                raise ValueError(f"{result.method} at {result.budget}: {result.error}")
            answers[result.method, result.budget] = result.answer
        boxes, swaps = case.vision.grid.boxes, {}
        if is_about_one(question):
            on_it = touched(boxes, question.targets[0].box)
            swaps = {
                spec: swap(case, spec, answers[spec], answers[random_], on_it, cache)
                for spec, random_ in swapped.items()
            }
        _, to_picture, to_first = prefill(case.decoder, case.prompt()).attention_mass.cpu().T
        yield Observation(scene, question, answers, to_first, to_picture, boxes, swaps)
