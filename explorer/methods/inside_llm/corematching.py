"""CoreMatching: keep the visual tokens that wake the same neurons as the words of the question.

Wang et al., "CoreMatching: A Co-adaptive Sparse Inference Framework with Token and Neuron Pruning",
ICML 2025, arXiv 2505.19235. Official code: wangqinsi1/2025-ICML-CoreMatching @046b24e,
transformers/models/llama/modeling_llama.py (LlamaMLP.forward). That code drops no token: it wipes
keys and values out of the cache, so that decoding alone changes and nothing is saved ("zero-kv"),
and takes one row of the prompt for the core neurons of all of it. Reads the question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from explorer.errors import BadBudget
from explorer.methods.inside_llm.core_neurons import core
from explorer.methods.method import Card, Method, Variant, option
from explorer.methods.observed import Neurons
from explorer.methods.signals import Signals, Size, Stage


@dataclass(frozen=True)
class CoreMatching(Method):
    """Tokens that wake the neurons that the question wakes."""

    card = Card(
        key="corematching",
        title="CoreMatching",
        authors="Wang, Ye, Chung, Liu, Lin, Kuo, Ma, Zhang, Chen",
        year=2025,
        arxiv="2505.19235",
        repository="wangqinsi1/2025-ICML-CoreMatching",
        commit="046b24e6bd6b",
        verified=(
            "Scores, cut-offs, wiped sets, logits and answers equal those of the official code on "
            "2 recorded runs of tiny random models."
        ),
        uncertain=(
            "Read: the code, copies of the paper's equations. Core neurons of the whole prompt, "
            "dropping (where: ours) and fewer neurons in decoding are the paper's, their shares "
            "CoreInfer's. Here the budget cuts off, not an elbow; of equal scores, the first stay."
        ),
        sentence=(
            "Drops, early in the language model, the patches that wake the fewest of the neurons "
            "that the word after the question wakes."
        ),
        equation="s_i = Σ_n [a_in > 0] [a_qn > 0], a the input of down_proj, q behind the question",
        headline=(
            "TextVQA: full 57.8; with 80, 60, 40 and 20 % retained 56.3, 55.8, 53.2 and 45.1 "
            "(second-hand, not confirmed by a second source)."
        ),
        traps=(
            "The code (zero-kv) drops nothing: cost, memory and first word stay those of all "
            "tokens. What it wipes still gets attention, so MDI counts it in |O|, and not what "
            "has been dropped. It finds question and picture by numbers that fit one template."
        ),
        score_means="neurons that are active for the token and for the question",
    )
    needs = frozenset({"neurons"})
    reads_question = True
    nested = False
    where = "inside the LLM"
    positions = "keep"
    mode: str = option("drop", "zero-kv", meaning="leave the LLM (paper), or the cache (code)")
    metric: str = option("query", "core_neurons", meaning="the question's neurons, or the prompt's")
    rho: float = option(0.4, 0.2, 0.6, 0.8, meaning="share of its neurons that a token names")
    beta: float = option(0.2, 0.4, 0.6, 0.8, meaning="share of all neurons that are core neurons")
    neurons: str = option("all", "core", meaning="the neurons that decoding uses")
    variants = (Variant("zero-kv", {"mode": "zero-kv"}, "as the code has it: nothing is saved"),)

    def losing(self, size: Size) -> int:
        """Count the layers that lose tokens: those that act, or all after the first of them."""
        acts = window(size.layers)
        return len(acts) if self.mode == "zero-kv" else size.layers - acts[0] - 1

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Leave K tokens in each layer that loses some.

        The budget is the mean over layers of the visual tokens that a word of the answer can read.
        """
        lowest = self.floor(size)
        if budget < lowest:
            raise BadBudget(
                f"CoreMatching leaves all {size.tokens} visual tokens to some layers, so its mean "
                f"can't be smaller than {lowest} tokens here; {budget} is too small."
            )
        acts, kept = window(size.layers), size.tokens
        if budget < size.tokens:
            lost = (size.tokens - budget) * size.layers / self.losing(size)
            kept = max(1, round(size.tokens - lost))
        if self.mode == "drop" or kept == size.tokens:
            return [Stage(acts[0] + 1, kept, wipe_cache=self.mode == "zero-kv")]
        return [Stage(layer + 1, kept, wipe_cache=True) for layer in acts]

    def floor(self, size: Size) -> int:
        """Give the mean, rounded up, when one visual token is left wherever tokens are lost."""
        return size.tokens - self.losing(size) * (size.tokens - 1) // size.layers

    def score(self, signals: Signals) -> Tensor:
        """Count the active neurons that a visual token shares: s_i = |Gamma(x_i) n C|, [N].

        query: C are the active neurons of the first token after the question, as in the code.
        """
        seen, by_question = signals.neurons, self.metric == "query"
        active = seen.values > 0  # Gamma: the sign of the product act(gate) * up
        wanted = active[seen.query_row] if by_question else core(seen, self.rho, self.beta)
        return (active[seen.visual] & wanted).sum(1).float()

    def decoding_neuron_mask(self) -> Callable[[Neurons], Tensor] | None:
        """Let decoding use the core neurons alone, if asked to."""
        return None if self.neurons == "all" else partial(core, rho=self.rho, beta=self.beta)


def window(layers: int) -> range:
    """Give the layers that act, 5 to 18 of 32 in the code."""
    first, last = (round(share * layers / 32) for share in (5, 18))
    return range(first, min(last, layers - 1) + 1)
