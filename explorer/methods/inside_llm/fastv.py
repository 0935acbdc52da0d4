"""FastV: after two layers of the language model, drop the visual tokens that nobody looks at.

Chen et al., "An Image is Worth 1/2 Tokens After Layer 2", ECCV 2024, arXiv 2403.06764. Official
code: pkunlp-icler/FastV @d165972, src/FastV/llava-hf (fastv_forward of modeling_llama.py), in the
variant that prunes once, in the prefill. Reads the question: the ranking token comes after it.
"""

from __future__ import annotations

from torch import Tensor

from explorer.methods.inside_llm.token_schedule import OneStep
from explorer.methods.method import Card
from explorer.methods.signals import Signals

# The average over all queries is no option: `Signals` has the last row of attention alone. Nor is
# re-ranking at every generated token, which needs a run without a cache.


class FastV(OneStep):
    """The tokens that the prompt's end looks at most in layer 2."""

    card = Card(
        key="fastv",
        title="FastV",
        authors="Chen, Zhao, Liu, Bai, Lin, Zhou, Chang",
        year=2024,
        arxiv="2403.06764",
        repository="pkunlp-icler/FastV",
        commit="d1659729b5bf",
        verified=(
            "Scores, kept sets, logits, answers and cache lengths equal those of the official code "
            "on 3 recorded runs of tiny random models."
        ),
        uncertain=(
            "The paper's text speaks of the attention a token receives from all others; all of its "
            "code uses the last token of the prompt alone, and so does this. The original without "
            "a cache ranks again at every generated token; this is the authors' variant with a "
            "cache, which ranks once."
        ),
        sentence=(
            "Lets the language model read everything for two layers, then drops the patches that "
            "the end of the question looks at least."
        ),
        equation="s_j = 1/H Σ_h A_h[last token, j] of layer 2",
        headline=(
            "LLaVA-1.5-7B, average of four tasks: full 69.8; half of the tokens dropped 69.7, 75 % "
            "67.1, 90 % 55.2. FastV, table 1."
        ),
        traps=(
            "The last token is the end of the template, not a word of the question. On large "
            "models it prefers the lower end of the picture (FEATHER); pico does not show that: of "
            "64 patches that it keeps, 49 % lie in the lower half."
        ),
        score_means="attention from the prompt's last token",
    )
    needs = frozenset({"last_attention"})
    reads_question = True
    positions = "keep"
    layer = 2  # the paper's K: layers 0 and 1 see every token

    def score(self, signals: Signals) -> Tensor:
        """Give s_i = mean over heads of the last token's attention in layer K - 1, [N]."""
        return signals.last_attention.float().mean(0)
