"""SparseVLM: let the question's visual words rank the patches, and recycle the best dropped ones.

Zhang et al., "SparseVLM: Visual Token Sparsification for Efficient Vision-Language Model
Inference", ICML 2025, arXiv 2410.04417. Official code: Gumpest/SparseVLMs @26a5f48, llava/model/
language_model/ (modelling_sparse_llama.py, score.py, utils.py), as it runs by default (version 1.5)
and as SparseVLM+ (version 2.0). Reads the question twice: raters, and their attention.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.methods.inside_llm import token_schedule
from explorer.methods.ops import recycling
from explorer.methods.signals import Kept, Signals, Size, Stage, top

KEY = "sparsevlm"
TITLE = "SparseVLM"
AUTHORS = "Zhang, Fan, Ma, Zheng, Huang, Cheng, Gudovskiy, Okuno, Nakata, Keutzer, Zhang"
YEAR = 2024
ARXIV = "2410.04417"
REPOSITORY = "Gumpest/SparseVLMs"
COMMIT = "26a5f48813c4"
VERIFIED = (
    "Raters, scores, kept sets and recycled tokens of every stage, positions, logits, answers and "
    "cache lengths equal those of the official code on 3 recorded runs of tiny random models, 2 of "
    "version 1.5 and 1 of SparseVLM+."
)
UNCERTAIN = (
    "The paper adapts the number of tokens to a rank; the released code uses fixed lists, and so "
    "does this: version 1.0, which adapts, isn't offered, as a budget here is exact. Lists between "
    "and below the four published ones, and for other depths, are ours. Published means count the "
    "tokens after a layer, this page those that enter it: 192 there is 206 here. The noise on the "
    "density is left out."
)
NEEDS = frozenset({"tail", "inputs", "tail_attention", "ones", "tail_ones"})
READS_QUESTION = True
NESTED, MERGES, TRAINED = False, True, False
POSITIONS = "renumber"
WHERE = "inside the LLM"
SENTENCE = (
    "Finds the words of the question that go with the picture, drops the patches that those words "
    "look at least, and folds the best of the dropped ones together."
)
EQUATION = "s_i = mean over raters t of A[t, i]; rater: mean_v softmax_t(H_v H_q) above its mean"
HEADLINE = "LLaVA-1.5-7B keeps 99.1, 96.7 and 89.3 % at 192, 128 and 64. Paper, table 1."
TRAPS = "Raters may be punctuation or words of the template."
SCORE_MEANS = "attention from the question's visual words"
# recycle: the code joins the nearest centre and takes the mean; the paper the cosine and the sum
OPTIONS = {"version": ("1.5", "plus"), "recycle": ("mean", "sum")}
VARIANTS = {"plus": {"version": "plus"}}

LAYERS, OF, TOKENS = (2, 6, 15), 32, 576  # pruned is the output of these layers
LISTS = {  # tokens kept at the three stages, as published for means of 64, 96, 128 and 192
    "1.5": ((66, 30, 17), (238, 48, 26), (303, 110, 36), (300, 200, 110)),
    "plus": ((66, 34, 20), (246, 54, 28), (238, 108, 60), (300, 200, 118)),
}
HEADS = 14  # that SparseVLM+ hears


def positions(*, version: str = "1.5", recycle: str = "mean") -> str:
    """Tell what becomes of positions: SparseVLM+ keeps them."""
    return "keep" if version == "plus" else POSITIONS


def schedule(
    size: Size, budget: int, *, version: str = "1.5", recycle: str = "mean"
) -> list[Stage]:
    """Mix neighbouring published lists until the mean fits; where one fits as it is, use it."""
    layers = _layers(size)
    first = min([size.layers, *layers])
    token_schedule.check(TITLE, size, first, floor(size, version=version), budget)
    if budget == size.tokens:
        return token_schedule.untouched(size, layers)
    known = (1 / 5, 2 / 5, 3 / 5, 4 / 5)
    return token_schedule.fit(size, budget, lambda x: _stages(size, x, version), known)


def _layers(size: Size) -> list[int]:
    return token_schedule.places(size, [round(layer * size.layers / OF) + 1 for layer in LAYERS])


def _stages(size: Size, x: float, version: str) -> list[Stage]:
    """Give the stages at 0 (one token kept), at a fifth (the shortest list), ... 1 (all kept)."""
    shares = [[count / TOKENS for count in counts] for counts in LISTS[version]]
    counts = token_schedule.between(size.tokens, [[0, 0, 0], *shares, [1, 1, 1]], x)
    merged = {"merged": recycling.clusters} if version == "1.5" else {}
    return token_schedule.steps(size, _layers(size), counts, **merged)


def floor(size: Size, *, version: str = "1.5", recycle: str = "mean") -> int:
    """Give the mean, rounded up, when every stage keeps one token and what it has to recycle."""
    return token_schedule.lowest(size, _stages(size, 0.0, version))


def raters(signals: Signals) -> Tensor:
    """Tell which tokens after the picture go with it: r_t > mean(r) (Eq. 5, 6), [T] of bool."""
    r = (signals.inputs.float() @ signals.tail.float().T).softmax(1).mean(0)
    chosen = r > r.mean()
    return chosen if chosen.any() else ~chosen  # differs: no rater at all gives NaN in the code


def score(signals: Signals, *, version: str = "1.5", recycle: str = "mean") -> Tensor:
    """Give s_i = mean over raters and heads of their attention to each visual token, [N]."""
    chosen = raters(signals)
    attention = signals.tail_attention.float()[:, chosen]
    if version == "plus":
        # what the rotary embedding alone makes of a distance: (R_q 1) . (R_k 1) / sqrt(d)
        gravity = signals.tail_ones[chosen] @ signals.ones.T / signals.ones.shape[1] ** 0.5
        # differs: never nearer to zero than 1e-6, where the code may divide by nothing
        attention = attention / torch.where(gravity < 0, -1, 1) / gravity.abs().clamp(min=1e-6)
        count = min(HEADS, -(-len(attention) // 2))  # ours for fewer than 28 heads: half of them
        attention = attention[top(attention.sum((1, 2)), count)]
    return attention.mean((0, 1))


def keep(signals: Signals, stage: Stage, *, version: str = "1.5", recycle: str = "mean") -> Kept:
    """Keep the k largest scores; version 1.5 folds the best of the others into a few behind."""
    return recycling.recycle(signals, score(signals, version=version), stage, recycle)
