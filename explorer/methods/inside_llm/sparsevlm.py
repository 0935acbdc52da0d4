"""SparseVLM: let the question's visual words rank the patches, and recycle the best dropped ones.

Zhang et al., "SparseVLM: Visual Token Sparsification for Efficient Vision-Language Model
Inference", ICML 2025, arXiv 2410.04417. Official code: Gumpest/SparseVLMs @26a5f48, llava/model/
language_model/ (modelling_sparse_llama.py, score.py, utils.py), as it runs by default (version 1.5)
and as SparseVLM+ (version 2.0). Reads the question twice: raters, and their attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from explorer.methods.inside_llm import token_schedule
from explorer.methods.method import Card, Variant, option
from explorer.methods.ops import recycling
from explorer.methods.signals import Kept, Signals, Size, Stage, top

LAYERS, OF, TOKENS = (2, 6, 15), 32, 576  # pruned is the output of these layers
LISTS = {  # tokens kept at the three stages, as published for means of 64, 96, 128 and 192
    "1.5": ((66, 30, 17), (238, 48, 26), (303, 110, 36), (300, 200, 110)),
    "plus": ((66, 34, 20), (246, 54, 28), (238, 108, 60), (300, 200, 118)),
}
HEADS = 14  # that SparseVLM+ hears; ours for fewer than 28 heads: half of them


@dataclass(frozen=True)
class SparseVLM(token_schedule.InsideLLM):
    """What raters look at; the best of the others are folded."""

    card = Card(
        key="sparsevlm",
        title="SparseVLM",
        authors="Zhang, Fan, Ma, Zheng, Huang, Cheng, Gudovskiy, Okuno, Nakata, Keutzer, Zhang",
        year=2024,
        arxiv="2410.04417",
        repository="Gumpest/SparseVLMs",
        commit="26a5f48813c4",
        verified=(
            "Raters, scores, kept sets and recycled tokens of every stage, positions, logits, "
            "answers and cache lengths equal those of the official code on 3 recorded runs of tiny "
            "random models, 2 of version 1.5 and 1 of SparseVLM+."
        ),
        uncertain=(
            "The paper adapts the number of tokens to a rank; the released code uses fixed lists, "
            "and so does this. Lists between and below the four published ones, and for other "
            "depths, are ours. Published means count the tokens after a layer, this page those "
            "that enter it: 192 there is 206 here. The noise on the density is left out."
        ),
        sentence=(
            "Finds the words of the question that go with the picture, drops the patches that "
            "those words look at least, and folds the best of the dropped ones together."
        ),
        equation="s_i = mean over raters t of A[t, i]; raters: mean_v softmax_t(H_v H_q) > mean",
        headline=(
            "LLaVA-1.5-7B keeps 99.1, 96.7 and 89.3 % at 192, 128 and 64. Paper, table 1. Later "
            "papers measure 95.5, 92.9 and 86.9 % there."
        ),
        traps="Raters may be punctuation or words of the template.",
        score_means="attention from the question's visual words",
    )
    needs = frozenset({"tail", "inputs", "tail_attention", "rotated_ones", "tail_rotated_ones"})
    reads_question = True
    nested = False
    merges = True
    version: str = option("1.5", "plus", meaning="the code's default, or SparseVLM+ (2.0)")
    recycle: str = option("mean", "sum", meaning="by distance and mean (code), or cosine and sum")
    variants = (Variant("plus", {"version": "plus"}, "SparseVLM+, version 2.0"),)

    @property
    def positions(self) -> str:
        """SparseVLM+ keeps them."""
        return "keep" if self.version == "plus" else "renumber"

    def layers(self, size: Size) -> list[int]:
        """Pruned is the output of three layers."""
        return token_schedule.places(size, [round(i * size.layers / OF) + 1 for i in LAYERS])

    def smallest(self, size: Size) -> list[Stage]:
        """Every stage keeps one token and what it has to recycle."""
        return self.staircase(size, 0.0)

    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Mix neighbouring published lists until the mean fits; use one as it is where it fits."""
        known = (1 / 5, 2 / 5, 3 / 5, 4 / 5)
        return token_schedule.fit(size, budget, partial(self.staircase, size), known)

    def staircase(self, size: Size, x: float) -> list[Stage]:
        """Give the stages at 0 (one token kept), at a fifth (the shortest list), ... 1 (all)."""
        shares = [[count / TOKENS for count in counts] for counts in LISTS[self.version]]
        counts = token_schedule.between(size.tokens, [[0, 0, 0], *shares, [1, 1, 1]], x)
        merged = recycling.clusters if self.version == "1.5" else lambda dropped: 0
        return token_schedule.steps(size, self.layers(size), counts, merged)

    def score(self, signals: Signals) -> Tensor:
        """Give s_i = mean over raters and heads of their attention to each visual token, [N]."""
        chosen = raters(signals)
        attention = signals.tail_attention.float()[:, chosen]
        if self.version == "plus":
            # what the rotary embedding alone makes of a distance: (R_q 1) . (R_k 1) / sqrt(d)
            ones = signals.rotated_ones
            gravity = signals.tail_rotated_ones[chosen] @ ones.T / ones.shape[1] ** 0.5
            # differs: never nearer to zero than 1e-6, where the code may divide by nothing
            attention = attention / torch.where(gravity < 0, -1, 1) / gravity.abs().clamp(min=1e-6)
            attention = attention[top(attention.sum((1, 2)), min(HEADS, -(-len(attention) // 2)))]
        return attention.mean((0, 1))

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep the k largest scores; version 1.5 folds the best of the others into a few behind."""
        return recycling.recycle(signals, self.score(signals), stage, self.recycle)


def raters(signals: Signals) -> Tensor:
    """Tell which tokens after the picture go with it: r_t > mean(r) (Eq. 5, 6), [T] of bool."""
    r = (signals.inputs.float() @ signals.tail.float().T).softmax(1).mean(0)
    chosen = r > r.mean()
    return chosen if chosen.any() else ~chosen  # differs: no rater at all gives NaN in the code
