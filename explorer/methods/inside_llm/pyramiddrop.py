"""PyramidDrop: drop a share of the visual tokens at the end of every quarter of the LLM.

Xing et al., "PyramidDrop: Accelerating Your Large Vision-Language Models via Pyramid Visual
Redundancy Reduction", CVPR 2025, arXiv 2410.17247. Official code: Cooperx521/PyramidDrop @6444f30,
llava/model/modeling_llama_pdrop.py (pdrop_forward, pdrop_rank_drop). Reads the question: the
ranking token is the last one of the prompt.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from explorer.methods.inside_llm import token_schedule
from explorer.methods.signals import Kept, Signals, Size, Stage, top

KEY = "pyramiddrop"
TITLE = "PyramidDrop"
AUTHORS = "Xing, Huang, Dong, Lu, Zhang, Zang, Cao, He, Wang, Wu, Lin"
YEAR = 2024
ARXIV = "2410.17247"
REPOSITORY = "Cooperx521/PyramidDrop"
COMMIT = "6444f304aee4"
VERIFIED = (
    "Scores and kept sets of every stage, logits, answers and cache lengths equal those of the "
    "official code on 2 recorded runs of tiny random models."
)
UNCERTAIN = (
    "One schedule is published: half of the tokens leave after layers 8, 16 and 24 of 32. The "
    "lists behind the published means of 192, 128 and 64 tokens are not. Other budgets, above all "
    "those below a quarter of the tokens, follow a schedule of ours. Grouped key heads are "
    "repeated, which the code doesn't support."
)
NEEDS = frozenset({"next_last_attention", "last_attention"})
READS_QUESTION = True
NESTED = MERGES = TRAINED = False
POSITIONS = "renumber"
WHERE = "inside the LLM"
SENTENCE = (
    "Drops the same share of the patches after each quarter of the language model's layers, always "
    "those that the end of the question looks at least."
)
EQUATION = "s_i = 1/H Σ_h softmax(q_last · k_i / √d)_h, of the layer that comes next"
HEADLINE = "LLaVA-1.5-7B: average 55.6 (full 55.8) at 1.78 of 3.82 TFLOPs. Paper, table 5."
TRAPS = "Drops are final: a later question about a dropped region can't be answered."
SCORE_MEANS = "attention from the prompt's last token"
# The code ranks by the attention of the layer after a stage; the paper (Eq. 2) by the product of
# query and key in the last layer of the stage, before any softmax.
OPTIONS = {"layer": ("next", "last"), "similarity": ("softmaxed", "raw")}
VARIANTS: dict[str, dict] = {}


def schedule(
    size: Size, budget: int, *, layer: str = "next", similarity: str = "softmaxed"
) -> list[Stage]:
    """Find the share lambda of its tokens that every quarter hands on; int(N lambda^s) stay."""
    token_schedule.check(TITLE, size, _first(size), floor(size), budget)
    ends = _quarters(size)
    if budget == size.tokens:
        return token_schedule.untouched(size, ends)
    if budget * size.layers < size.tokens * max(size.layers / 4, ends[0]):
        return _small(size, budget)
    spans = _spans(size, ends)

    def mean(share: float) -> float:
        return sum(span * share**s for s, span in enumerate(spans)) / size.layers

    share = token_schedule.solve(mean, budget / size.tokens)
    return token_schedule.steps(size, ends, [size.tokens * share**s for s in (1, 2, 3)])


def _small(size: Size, budget: int) -> list[Stage]:
    """Below a quarter of the tokens (ours): end the first stage earlier, a, a/2 and a/4 follow."""
    first = max(_first(size), int(size.layers * budget / (2 * size.tokens)))
    left = size.layers - first
    starts = [first + round(left * third / 3) for third in (0, 1, 2)]
    weight = sum(span / 2**s for s, span in enumerate(_spans(size, starts)[1:]))
    a = (budget * size.layers - first * size.tokens) / weight
    return token_schedule.steps(size, starts, [a, a / 2, a / 4])


def _quarters(size: Size) -> list[int]:
    return token_schedule.places(size, [round(size.layers * quarter / 4) for quarter in (1, 2, 3)])


def _spans(size: Size, ends: list[int]) -> list[int]:
    return [end - start for start, end in pairwise([0, *ends, size.layers])]


def _first(size: Size) -> int:
    """Give how many layers see every token even at the smallest budget."""
    return min([2, size.layers, *_quarters(size)])


def floor(size: Size, *, layer: str = "next", similarity: str = "softmaxed") -> int:
    """Give the mean, rounded up, when a single visual token is left after the first layers."""
    return token_schedule.lowest(size, [Stage(_first(size), 1)])


def score(signals: Signals, *, layer: str = "next", similarity: str = "softmaxed") -> Tensor:
    """Give s_i = mean over heads of the last token's attention in the layer after the stage, [N].

    raw: the logarithm, which ranks as q k does: within a head they differ by a constant.
    """
    attention = signals.next_last_attention if layer == "next" else signals.last_attention
    attention = attention.float()
    if similarity == "raw":
        attention = attention.clamp(min=torch.finfo(torch.float32).tiny).log()
    return attention.mean(0)


def keep(
    signals: Signals, stage: Stage, *, layer: str = "next", similarity: str = "softmaxed"
) -> Kept:
    """Keep the k largest scores, in their order and with new positions."""
    return Kept(top(score(signals, layer=layer, similarity=similarity), stage.keep))
