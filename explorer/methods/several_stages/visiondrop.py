"""VisionDrop: rank visual tokens by visual attention alone, in the tower and thrice in the LLM.

Xu et al., "Rethinking Visual Token Reduction in LVLMs under Cross-modal Misalignment", AAAI 2026,
arXiv 2506.22283. Official code: Ruixxxx/VisionDrop @f7a9444, llava/visionzip/ (stage 1) and
llava/model/modeling_llama_visiondrop.py (visiondrop_rank_drop). Does not read the question: inside
the LLM it ranks by what visual tokens see of each other. Stage 1 is VisionZip's step.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from explorer.methods.attention.visionzip import VisionZip
from explorer.methods.method import Card, Method
from explorer.methods.ops.merging import merge, rest, split
from explorer.methods.signals import Kept, Signals, Size, Stage, top

FIRST = 1.5  # tokens that enter the LLM, as a multiple of the mean over its layers
TOWER = VisionZip()  # stage 1 is its step
PER_CONTEXTUAL = 8  # one contextual token for every 8 tokens, rounded up


class VisionDrop(Method):
    """VisionZip's step, and three more inside the LLM."""

    card = Card(
        key="visiondrop",
        title="VisionDrop",
        authors="Xu, Wang, Luo, Du",
        year=2025,
        arxiv="2506.22283",
        repository="Ruixxxx/VisionDrop",
        commit="f7a9444",
        verified=(
            "Scores, kept sets, groups and merged tokens equal the official code's on 4 recorded "
            "runs: one of the tower stage, three of a stage in the LLM."
        ),
        uncertain=(
            "Only the schedule for a mean of 32 tokens (48, 35, 26, 19) is published; those of "
            "other budgets are derived from it. Grouped key heads are repeated, which the code "
            "doesn't support. Several views are one set of patches, which is ours."
        ),
        sentence=(
            "Drops a part of the patches before the language model and three more parts inside it, "
            "judged by what patches see of each other, never by the question."
        ),
        equation="in the LLM: S_j = 1/(H·N) Σ_h Σ_i A_h[i, j], i visual",
        headline=(
            "LLaVA-1.5-7B keeps 98.8 % at 192 tokens and 91.5 % at 32 (second-hand: notes on the "
            "paper)."
        ),
        traps="The mask is causal, so even with equal attention early patches score higher.",
        score_means="attention from [CLS], later from visual tokens",
        stand_in="the attention that a patch receives on average",
    )
    needs = VisionZip.needs | {"visual_attention", "visual_keys"}
    nested = False
    merges = True
    where = "both"

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Prune before the LLM and before its layers L/4, L/2 and 3L/4; equal shares drop out."""
        layers = sorted({round(size.layers * quarter / 4) for quarter in (1, 2, 3)})
        layers = [0, *(layer for layer in layers if 1 <= layer < size.layers)]
        stages: list[Stage] = []
        alive = size.tokens
        for layer, total in zip(layers, _totals(size, budget, layers), strict=True):
            if total < alive:
                contextual = math.ceil(total / PER_CONTEXTUAL)
                stages.append(split(layer, total, contextual, size.cls and layer == 0))
            elif layer == 0:
                stages.append(Stage(0, total))
            alive = total
        return stages

    def score(self, signals: Signals) -> Tensor:
        """Give [CLS] attention in the tower; in the LLM S_j = mean over visual queries and heads.

        [N]. The causal mask is on, so early tokens have the larger S: that is the method.
        """
        if signals.visual_attention is None:
            return TOWER.score(signals)
        return signals.visual_attention.float().mean(0)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Give the dominant tokens in their order, then the contextual ones."""
        if stage.layer == 0:
            return TOWER.keep(signals, stage)
        index = top(self.known_score(signals), stage.keep)
        if stage.merge == 0:
            return Kept(index)
        tokens = rest(index, signals.count)
        merged, into = merge(signals.features, signals.visual_keys, tokens, stage.merge)
        group = torch.full_like(signals.grid_position[:, 0], -1, dtype=torch.long)
        group[tokens] = into
        return Kept(index, merged=merged, group=group)


def _totals(size: Size, budget: int, layers: list[int]) -> list[int]:
    """Give T_i = T_1 q^(i-1), q such that the mean over the layers is the budget."""
    lengths = [end - start for start, end in zip(layers, [*layers[1:], size.layers], strict=True)]
    first = min(FIRST * budget, size.tokens) if len(layers) > 1 else budget

    def mean(q: float) -> float:
        return sum(n * first * q**i for i, n in enumerate(lengths)) / size.layers

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < budget else (low, middle)
    return [max(1, round(first * high**i)) for i in range(len(lengths))]
