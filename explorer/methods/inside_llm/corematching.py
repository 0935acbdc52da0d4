"""CoreMatching: keep the visual tokens that wake the same neurons as the words of the question.

Wang et al., "CoreMatching: A Co-adaptive Sparse Inference Framework with Token and Neuron Pruning",
ICML 2025, arXiv 2505.19235. Official code: wangqinsi1/2025-ICML-CoreMatching @046b24e,
transformers/models/llama/modeling_llama.py (LlamaMLP.forward). That code and the paper differ: the
code drops no token, it wipes keys and values out of the cache, so that decoding alone changes, and
takes one row of the prompt for the core neurons of all of it. Reads the question.
"""

from __future__ import annotations

from torch import Tensor

from explorer.errors import BadBudget
from explorer.methods.inside_llm.core_neurons import core
from explorer.methods.inside_llm.core_neurons import decoding_neurons as decoding_neurons
from explorer.methods.signals import Kept, Signals, Size, Stage, top

KEY = "corematching"
TITLE = "CoreMatching"
AUTHORS = "Wang, Ye, Chung, Liu, Lin, Kuo, Ma, Zhang, Chen"
YEAR = 2025
ARXIV = "2505.19235"
REPOSITORY = "wangqinsi1/2025-ICML-CoreMatching"
COMMIT = "046b24e6bd6b"
VERIFIED = (
    "Scores, cut-offs, wiped sets, logits and answers equal those of the official code on 2 "
    "recorded runs of tiny random models."
)
UNCERTAIN = (
    "Only the code and secondary copies of the paper's equations could be read. Core neurons over "
    "the whole prompt, dropped tokens (where: ours) and fewer neurons in decoding are the paper's, "
    "not the code's; their shares are those of CoreInfer. The code cuts off at an elbow of the "
    "scores; here the budget does, and of equal scores the first are kept."
)
NEEDS = frozenset({"neurons"})
READS_QUESTION = True
NESTED = False
MERGES = False
TRAINED = False
POSITIONS = "keep"
WHERE = "inside the LLM"
SENTENCE = (
    "Lets decoding read only the patches that wake the same neurons as the word after the question."
)
EQUATION = "s_i = Σ_n [a_in > 0] [a_qn > 0], a the input of down_proj, q behind the question"
HEADLINE = (
    "TextVQA: full 57.8; with 80, 60, 40 and 20 % retained 56.3, 55.8, 53.2 and 45.1 (second-hand)."
)
TRAPS = (
    "The code drops nothing: prefill, first word and memory stay as they are. It finds question "
    "and picture by numbers that fit one template and one picture size."
)
SCORE_MEANS = "neurons that are active for the token and for the question"
# neurons="core": decoding uses the core neurons alone; apart from the tokens, so that each is seen
OPTIONS = {
    "mode": ("zero-kv", "drop"),
    "metric": ("query", "core_neurons"),
    "rho": (0.4, 0.2, 0.6, 0.8),
    "beta": (0.2, 0.4, 0.6, 0.8),
    "neurons": ("all", "core"),
}
VARIANTS = {"drop": {"mode": "drop"}}


def window(layers: int) -> range:
    """Give the layers that act, 5 to 18 of 32 in the code."""
    first, last = (round(share * layers / 32) for share in (5, 18))
    return range(first, min(last, layers - 1) + 1)


def losing(size: Size, mode: str) -> int:
    """Count the layers that lose tokens: those that act, or all after the first of them."""
    acts = window(size.layers)
    return len(acts) if mode == "zero-kv" else size.layers - acts[0] - 1


def schedule(size: Size, budget: int, *, mode: str = "zero-kv", **_) -> list[Stage]:
    """Leave K tokens in each layer that loses some.

    The budget is the mean over layers of the visual tokens that a word of the answer can read.
    """
    lowest = floor(size, mode=mode)
    if budget < lowest:
        raise BadBudget(
            f"CoreMatching leaves all {size.tokens} visual tokens to some layers, so its mean "
            f"can't be smaller than {lowest} tokens here; {budget} is too small."
        )
    acts, kept = window(size.layers), size.tokens
    if budget < size.tokens:
        lost = (size.tokens - budget) * size.layers / losing(size, mode)
        kept = max(1, round(size.tokens - lost))
    if mode == "drop" or kept == size.tokens:
        return [Stage(acts[0] + 1, kept, blank=mode == "zero-kv")]
    return [Stage(layer + 1, kept, blank=True) for layer in acts]


def floor(size: Size, *, mode: str = "zero-kv", **_) -> int:
    """Give the mean, rounded up, when one visual token is left wherever tokens are lost."""
    return size.tokens - losing(size, mode) * (size.tokens - 1) // size.layers


def score(
    signals: Signals, *, metric: str = "query", rho: float = 0.4, beta: float = 0.2, **_
) -> Tensor:
    """Count the active neurons that a visual token shares: s_i = |Gamma(x_i) n C|, [N].

    query: C are the active neurons of the first token after the question, as in the code.
    """
    neurons = signals.neurons
    active = neurons.values > 0  # Gamma: the sign of the product act(gate) * up
    wanted = active[neurons.asking] if metric == "query" else core(neurons, rho, beta)
    return (active[neurons.visual] & wanted).sum(1).float()


def keep(signals: Signals, stage: Stage, **options) -> Kept:
    """Keep the K largest scores; at a blank stage the others stay as tokens and leave the cache."""
    return Kept(top(score(signals, **options), stage.keep))
