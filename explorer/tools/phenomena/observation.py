"""Questions that pico was asked, with every answer and every row of attention that is looked at.

Puts the questions and gathers what came; knows not what is read off it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.cases.answers import full_run
from explorer.cases.batch_answers import AnswerSpec
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case, open_case
from explorer.cases.generation import FULL
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many
from explorer.inference.attention_weights import causal_rows, queries_and_keys
from explorer.metrics.fidelity import agrees
from explorer.pico.data import scenes
from explorer.pico.data.questions import Question, sample
from explorer.pico.data.scenes import Scene

FIRST_SEED = 2_500_000_000  # neither training, evaluation nor the leaderboard goes there


@dataclass(frozen=True)
class Observation:
    """One question. answers: by method and budget, the full one too, as (FULL, N).

    attention [L, S]: of the prompt's last token, mean over heads, all visual tokens there; visual
    [N]: their places among the S. boxes [N, 4]: of the patches, in pixels of the picture.
    """

    scene: Scene
    question: Question
    answers: Mapping[AnswerSpec, Answer]
    attention: Tensor
    visual: Tensor
    boxes: Tensor

    @property
    def tokens(self) -> int:
        """Visual tokens of the picture."""
        return len(self.visual)

    @property
    def full(self) -> Answer:
        """The answer from all of them."""
        return self.answers[FULL, self.tokens]

    def right(self, method: str, budget: int) -> bool:
        """Tell whether a pruned answer is the right one."""
        return agrees(self.answers[method, budget].text, self.question.answer)


def observe(
    seeds: Iterable[int], specs: Sequence[AnswerSpec], model: str = "pico"
) -> Iterator[Observation]:
    """Put one question about each scene and answer it by every method at its budget."""
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
        yield Observation(
            scene,
            question,
            answers,
            last_rows(case),
            case.prompt().visual_positions.cpu(),
            torch.from_numpy(case.vision.grid.boxes),
        )


@torch.no_grad()
def last_rows(case: Case) -> Tensor:
    """Give the attention of the prompt's last token in every layer, [L, S], mean over heads."""
    prompt, body = case.prompt(), case.decoder.body
    states: list[Tensor] = []
    handles = [
        layer.register_forward_pre_hook(
            lambda _, arguments, named: states.append((*arguments, *named.values())[0]),
            with_kwargs=True,
        )
        for layer in body.layers
    ]
    try:
        body(inputs_embeds=prompt.inputs_embeds, position_ids=prompt.position_ids, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    cos_sin = body.rotary_emb(prompt.inputs_embeds, prompt.position_ids)
    last = torch.tensor([prompt.inputs_embeds.shape[1] - 1], device=prompt.inputs_embeds.device)
    rows = []
    for layer, entering in zip(body.layers, states, strict=True):
        query, key = queries_and_keys(layer, entering, cos_sin, last)
        rows.append(causal_rows(query, key, last, layer.self_attn.scaling).mean(0)[0])
    return torch.stack(rows).cpu()
