"""Relevance: keep the visual tokens to which the full answer can be traced back. An oracle.

Lei et al., "Generic Token Compression in Multimodal Large Language Models from an Explainability
Perspective", 2025, arXiv 2506.01097: no official code. Its rules are those of Chefer, Gur and Wolf,
"Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers",
ICCV 2021: hila-chefer/Transformer-MM-Explainability @58eaea8, lxmert/lxmert/src/
ExplanationGenerator.py (avg_heads, apply_self_attention_rules). It needs the answer that the model
gives when it sees everything, so it saves nothing: it shows what there was to find.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.errors import MethodUnavailable
from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.observed import AnswerGradient
from explorer.methods.signals import Signals


@dataclass(frozen=True)
class Relevance(BeforeLLM):
    """The tokens to which the full answer is traced back."""

    card = Card(
        key="relevance",
        title="Relevance (oracle)",
        authors="Lei, Gu, Ma, Tang, Chen, Xu",
        year=2025,
        arxiv="2506.01097",
        verified=(
            "The authors released no code. The relevance of every answer token equals that of the "
            "official code of Chefer et al. on 3 recorded runs of tiny random models; the mean "
            "over answer tokens and the choice of the largest follow the text alone."
        ),
        uncertain=(
            "Known from the abstract and from notes by others. Whether the logit or the "
            "log-probability of an answer token is differentiated and whether the closing EOS "
            "counts are open; here it is the logit, as in the code of Chefer et al., and EOS does "
            "not count. New positions after the drop and ties by the lower index are ours."
        ),
        sentence=(
            "An oracle, it uses the answer: keeps the patches to which the full model's answer can "
            "be traced back."
        ),
        equation=(
            "R ← R + mean_h max(0, A ∘ ∂y/∂A) R over all layers; s = R[row of y, visual], mean "
            "over y"
        ),
        headline=(
            "Qwen2-VL, half of the tokens by this oracle: 99.5 % kept on images, 99.1 % on video "
            "(second-hand: notes on the paper)."
        ),
        traps=(
            "It explains the answer that was given, right or wrong; another answer gives another "
            "map. It is never negative, so it cannot show patches that mislead."
        ),
        score_means="relevance for the full answer, by attention and its gradient",
    )
    needs = frozenset({"explain"})
    reads_question = True
    slow = True
    target: str = option("logit", "logprob", meaning="which number of an answer token is explained")

    def score(self, signals: Signals) -> Tensor:
        """Give R_v = 1/T sum_t R_t[last row, visual columns], the mean over T answer tokens; [N].

        An answer without a token can't be traced to anything: every score is then 0.
        """
        if signals.explain is None:
            raise MethodUnavailable("Relevance needs gradients, which this model does not give.")
        total = torch.zeros(signals.count, device=signals.grid_position.device, dtype=torch.float32)
        count = 0
        for explained in signals.explain(self.target):
            total += row_of(explained)[explained.visual]
            count += 1
        return total / max(count, 1)


def row_of(explained: AnswerGradient) -> Tensor:
    """Give the row of R that belongs to the position which predicts an answer token, [S].

    R starts as I and grows layer by layer, R <- R + C R. One row of the product (I + C_L) ... (I +
    C_1) needs no S x S products: starting from the last layer, it is r <- r + r C.
    """
    row = torch.zeros_like(explained.attention[0][0, 0], dtype=torch.float32)
    row[explained.row] = 1
    for layer in reversed(range(len(explained.attention))):
        attention, gradient = explained.attention[layer], explained.gradient[layer]
        # Chefer et al., rule 5: clamped first, then the mean over heads
        step = (gradient.float() * attention.float()).clamp(min=0).mean(0)
        row = row + row @ step  # rule 6
    return row
