"""FastV: after two layers of the language model, drop the visual tokens that nobody looks at.

Chen et al., "An Image is Worth 1/2 Tokens After Layer 2", ECCV 2024, arXiv 2403.06764. Official
code: pkunlp-icler/FastV @d165972, src/FastV/llava-hf (fastv_forward of modeling_llama.py), in the
variant that prunes once, in the prefill. Reads the question: the ranking token comes after it.
"""

from __future__ import annotations

import math

from torch import Tensor

from explorer.errors import BadBudget
from explorer.methods.signals import Kept, Signals, Size, Stage, top

KEY = "fastv"
TITLE = "FastV"
AUTHORS = "Chen, Zhao, Liu, Bai, Lin, Zhou, Chang"
YEAR = 2024
ARXIV = "2403.06764"
REPOSITORY = "pkunlp-icler/FastV"
COMMIT = "d1659729b5bf"
VERIFIED = (
    "Scores, kept sets, logits, answers and cache lengths equal those of the official code on 3 "
    "recorded runs of tiny random models."
)
# The average over all queries is no option: `Signals` has the last row of attention alone. Nor is
# re-ranking at every generated token, which needs a run without a cache.
UNCERTAIN = (
    "The paper's text speaks of the attention a token receives from all others; all of its code "
    "uses the last token of the prompt alone, and so does this. The original without a cache ranks "
    "again at every generated token; this is the authors' variant with a cache, which ranks once."
)
NEEDS = frozenset({"last_attention"})
READS_QUESTION = True
NESTED = True
MERGES = False
TRAINED = False
POSITIONS = "keep"
WHERE = "inside the LLM"
SENTENCE = (
    "Lets the language model read everything for two layers, then drops the patches that the end "
    "of the question looks at least."
)
EQUATION = "s_j = 1/H Σ_h A_h[last token, j] of layer 2"
HEADLINE = (
    "LLaVA-1.5-7B, average of four tasks: full 69.8; half of the tokens dropped 69.7, 75 % 67.1, "
    "90 % 55.2. FastV, table 1."
)
TRAPS = (
    "The last token is the end of the template, not a word of the question, and it prefers the "
    "lower end of the picture."
)
SCORE_MEANS = "attention from the prompt's last token"
OPTIONS: dict[str, tuple] = {}
VARIANTS: dict[str, dict] = {}

LAYER = 2  # the paper's K: layers 0 and 1 see every token


def schedule(size: Size, budget: int) -> list[Stage]:
    """Solve T = (K N + (L - K) k) / L for the k tokens that layers K and later see."""
    lowest = floor(size)
    if budget < lowest:
        raise BadBudget(
            f"FastV shows all {size.tokens} visual tokens to its first {LAYER} layers, so its mean "
            f"can't be smaller than {lowest} tokens here; {budget} is too small."
        )
    if budget == size.tokens:
        return [Stage(LAYER, budget)]
    late = size.layers - LAYER
    kept = round((budget * size.layers - LAYER * size.tokens) / late)
    return [Stage(LAYER, max(1, kept))]


def floor(size: Size) -> int:
    """Give the mean, rounded up, when a single visual token is left after the first layers."""
    late = max(0, size.layers - LAYER)
    return math.ceil(((size.layers - late) * size.tokens + late) / size.layers)


def score(signals: Signals) -> Tensor:
    """Give s_i = mean over heads of the last token's attention in layer K - 1, [N]."""
    return signals.last_attention.float().mean(0)


def keep(signals: Signals, stage: Stage) -> Kept:
    """Keep the k largest scores, in their order and with their positions."""
    return Kept(top(score(signals), stage.keep))
