"""DivPrune: keep visual tokens that are as different from each other as possible.

Alvar et al., "DivPrune: Diversity-based Visual Token Pruning for Large Multimodal Models", CVPR
2025, arXiv 2503.02175, section 3.3 and Algorithm 1. Official code: vbdi/divprune @799e2d9,
LLaVA/llava/model/llava_arch.py (DivPrune, pairwise_cosine_similarity). The paper speaks of an exact
solution of the max-min diversity problem; algorithm and code are the greedy farthest-first rule.
Does not read the question.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.method import BeforeLLM, Card
from explorer.methods.ops.ranking import falling
from explorer.methods.signals import Signals


class DivPrune(BeforeLLM):
    """The first K tokens of a farthest-first order."""

    card = Card(
        key="divprune",
        title="DivPrune",
        authors="Alvar, Singh, Akbari, Zhang",
        year=2025,
        arxiv="2503.02175",
        repository="vbdi/divprune",
        commit="799e2d950aa01ba7860907f5a6d86061f885dca6",
        verified="The order of the kept tokens equals the official code's on 3 recorded runs.",
        sentence=(
            "Keeps patches that differ most from those already kept, so that nothing is said twice."
        ),
        equation="next = argmax over the rest of min over the kept of 1 − cos(x_i, x_j)",
        headline=(
            "LLaVA-1.5-7B, 56 of 576 tokens: GQA 56.9 (full 62.0), POPE 86.0 (85.8), SQA 68.3 "
            "(69.4). DivPrune, section 4."
        ),
        traps=(
            "The paper calls the result exact; its algorithm and code are greedy. Odd patches "
            "(borders, registers) are far from all others, and so come first."
        ),
        score_means="order of choice, 1 is first",
    )

    def score(self, signals: Signals) -> Tensor:
        """Give the greedy rank turned around: 1 for the first token chosen, 0 for the last; [N]."""
        return falling(order(signals.features))


def order(features: Tensor) -> Tensor:
    """Give all tokens in the order of Algorithm 1, [N]; any budget keeps the first K of them.

    features [N, D], after the projector. A zero vector counts as unlike everything (cosine 0).
    """
    # differs: float32 where the official run is fp16, in which many distances are equal
    unit = normalize(features.float(), dim=1)
    distance = 1 - unit @ unit.T  # d_ij, Eq. 3
    # first the most isolated token: argmax_i min_{j != i} d_ij
    distance.fill_diagonal_(torch.inf)
    pick = distance.amin(1).argmax()
    chosen = [pick]
    nearest = distance[pick].clone()  # of every token, the distance to the kept set
    nearest[pick] = -torch.inf
    for _ in range(len(unit) - 1):
        pick = nearest.argmax()  # argmax_i min_{j in S} d_ij, of equals the lowest index
        chosen.append(pick)
        nearest = torch.minimum(nearest, distance[pick])
        nearest[pick] = -torch.inf  # differs: the code lets a chosen token stand, at distance 0
    return torch.stack(chosen)
