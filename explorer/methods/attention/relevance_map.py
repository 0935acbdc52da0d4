"""Relevance map: a small network guesses, before any answer, which patches it will depend on.

Lei et al., "Generic Token Compression in Multimodal Large Language Models from an Explainability
Perspective", 2025, arXiv 2506.01097, "Lightweight mapping": no official code. The network has
learned what `relevance` computes from the full answer; it reads only how the first layer of the
language model looks from the question to the picture, so no answer and no gradient is needed.
"""

from __future__ import annotations

from torch import Tensor

from explorer.errors import MethodUnavailable
from explorer.methods.signals import Kept, Signals, Size, Stage, top

KEY = "relevance_map"
TITLE = "Relevance map"
AUTHORS = "Lei, Gu, Ma, Tang, Chen, Xu"
YEAR = 2025
ARXIV = "2506.01097"
REPOSITORY = ""
COMMIT = ""
VERIFIED = "Nothing to compare with: the authors released neither code nor weights."
UNCERTAIN = (
    "Known from notes by others. Kernel, activation and learning rate are ours. Pico's network "
    "is a quarter as wide as the paper's and has learnt from 925 right answers, not from 8,000 or "
    "more. It reads the rows of all tokens behind the picture, the template's own among them."
)
NEEDS = frozenset({"question_attention", "relevance_net"})
READS_QUESTION = True
NESTED = True
MERGES = False
TRAINED = True
POSITIONS = "renumber"
WHERE = "before the LLM"
SENTENCE = (
    "Keeps the patches on which a small trained network expects the answer to depend, from the "
    "question's first glance at the picture."
)
EQUATION = "s = softmax(CNN(a)), a_j = mean over words q of A[q, j] in layer 1"
HEADLINE = (
    "Qwen2-VL on images: 97.4 % kept with half of the tokens, 92.9 % with a quarter (second-hand: "
    "notes on the paper)."
)
TRAPS = (
    "On 140 new questions to pico the ranks of the network agree with true relevance to 0.50 "
    "(Spearman), attention alone to 0.29, but one fixed map for all pictures to 0.53: much of what "
    "it knows is where relevance usually lies. A question before the picture leaves it blind."
)
SCORE_MEANS = "relevance that a trained network expects"
OPTIONS = {"positions": ("renumber", "keep")}
VARIANTS: dict[str, dict] = {}


def schedule(size: Size, budget: int, **_) -> list[Stage]:
    """Prune once, before the language model: every layer then sees `budget` tokens."""
    return [Stage(0, budget)]


def floor(size: Size, **_) -> int:
    """Any budget from one token on can be reached."""
    return 1


def positions(*, positions: str = "renumber", **_) -> str:
    """Tell what becomes of positions: new ones, as when the kept tokens are joined, or the old."""
    return positions


def score(signals: Signals, **_) -> Tensor:
    """Give R~_v = softmax(f(A_v^0)), what the network makes of the question's attention; [N]."""
    if signals.relevance_net is None:
        raise MethodUnavailable(
            "Relevance map needs a small network that was trained for this model; one is made by "
            "`python -m explorer relevance-map --model MODEL`."
        )
    return signals.relevance_net(signals.question_attention.float()).float()


def keep(signals: Signals, stage: Stage, **_) -> Kept:
    """Keep the K tokens of the highest expected relevance, in their order."""
    return Kept(top(score(signals), stage.keep))
