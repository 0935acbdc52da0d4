"""Relevance map: a small network guesses, before any answer, which patches it will depend on.

Lei et al., "Generic Token Compression in Multimodal Large Language Models from an Explainability
Perspective", 2025, arXiv 2506.01097, "Lightweight mapping": no official code. The network has
learned what `relevance` computes from the full answer; it reads only how the first layer of the
language model looks from the question to the picture, so no answer and no gradient is needed.
"""

from __future__ import annotations

from torch import Tensor

from explorer.errors import MethodUnavailable
from explorer.methods.method import BeforeLLM, Card
from explorer.methods.signals import Signals


class RelevanceMap(BeforeLLM):
    """The largest relevance that a network expects."""

    card = Card(
        key="relevance_map",
        title="Relevance map",
        authors="Lei, Gu, Ma, Tang, Chen, Xu",
        year=2025,
        arxiv="2506.01097",
        verified="Nothing to compare with: the authors released neither code nor weights.",
        uncertain=(
            "Known from notes by others. Kernel, activation and learning rate are ours. Pico's "
            "network is a quarter as wide as the paper's and has learnt from 1,084 right answers, "
            "not from 8,000 or more. It reads the rows of all tokens behind the picture, the "
            "template's own among them."
        ),
        sentence=(
            "Keeps the patches on which a small trained network expects the answer to depend, from "
            "the question's first glance at the picture."
        ),
        equation="s = softmax(CNN(a)), a_j = mean over words q of A[q, j] in layer 1",
        headline=(
            "Qwen2-VL on images: 97.4 % kept with half of the tokens, 92.9 % with a quarter "
            "(second-hand: notes on the paper)."
        ),
        traps=(
            "On 164 new questions to pico the ranks of the network agree with true relevance to "
            "0.39 (Spearman), attention alone to 0.22, but one fixed map for all pictures to 0.40: "
            "much of what it knows is where relevance usually lies. A question before the picture "
            "leaves it blind."
        ),
        score_means="relevance that a trained network expects",
    )
    needs = frozenset({"question_attention", "relevance_net"})
    reads_question = True
    trained = True

    def score(self, signals: Signals) -> Tensor:
        """Give R~_v = softmax(f(A_v^0)), what the network makes of the attention; [N]."""
        if signals.relevance_net is None:
            raise MethodUnavailable(
                f"{self.card.title} needs a small network that was trained for this model; one is "
                "made by `python -m explorer relevance-map --model MODEL`."
            )
        return signals.relevance_net(signals.question_attention.float()).float()
