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

from explorer.methods.attention import visionzip
from explorer.methods.ops.merging import merge, rest, split
from explorer.methods.signals import Kept, Signals, Size, Stage, top

KEY = "visiondrop"
TITLE = "VisionDrop"
AUTHORS = "Xu, Wang, Luo, Du"
YEAR = 2025
ARXIV = "2506.22283"
REPOSITORY = "Ruixxxx/VisionDrop"
COMMIT = "f7a9444"
VERIFIED = (
    "Scores, kept sets, groups and merged tokens equal the official code's on 4 recorded runs: one "
    "of the tower stage, three of a stage in the LLM."
)
UNCERTAIN = (
    "Only the schedule for a mean of 32 tokens (48, 35, 26, 19) is published; those of other "
    "budgets are derived from it. Grouped key heads are repeated, which the code doesn't support. "
    "Several views are one set of patches, which is ours."
)
NEEDS = visionzip.NEEDS | {"visual_attention", "visual_keys"}
READS_QUESTION = False
NESTED = False
MERGES = True
TRAINED = False
POSITIONS = "renumber"
WHERE = "both"
SENTENCE = (
    "Drops a part of the patches before the language model and three more parts inside it, judged "
    "by what patches see of each other, never by the question."
)
EQUATION = "in the LLM: S_j = 1/(H·N) Σ_h Σ_i A_h[i, j], i visual"
HEADLINE = (
    "LLaVA-1.5-7B keeps 98.8 % at 192 tokens and 91.5 % at 32 (second-hand: notes on the paper)."
)
TRAPS = "The mask is causal, so even with equal attention early patches score higher."
SCORE_MEANS = "attention from [CLS], later from visual tokens"
STAND_IN = "the attention that a patch receives on average"
OPTIONS: dict[str, tuple] = {}
VARIANTS: dict[str, dict] = {}

FIRST = 1.5  # tokens that enter the LLM, as a multiple of the mean over its layers
PER_CONTEXTUAL = 8  # one contextual token for every 8 tokens, rounded up


def schedule(size: Size, budget: int) -> list[Stage]:
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


def floor(size: Size) -> int:
    """Any budget from one token on can be reached: even the first layers see few tokens."""
    return 1


def score(signals: Signals) -> Tensor:
    """Give [CLS] attention in the tower; in the LLM S_j = mean over visual queries and heads; [N].

    The causal mask is on, so early tokens have the larger S: that is the method.
    """
    if signals.visual_attention is None:
        return visionzip.score(signals)
    return signals.visual_attention.float().mean(0)


def keep(signals: Signals, stage: Stage) -> Kept:
    """Answer the dominant tokens in their order, then the contextual ones."""
    if stage.layer == 0:
        return visionzip.keep(signals, stage)
    index = top(score(signals), stage.keep)
    if stage.merge == 0:
        return Kept(index)
    tokens = rest(index, signals.count)
    merged, into = merge(signals.features, signals.visual_keys, tokens, stage.merge)
    group = torch.full_like(signals.place[:, 0], -1, dtype=torch.long)
    group[tokens] = into
    return Kept(index, merged=merged, group=group)
