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

from explorer.methods.signals import Kept, Signals, Size, Stage, falling, top

KEY = "divprune"
TITLE = "DivPrune"
AUTHORS = "Alvar, Singh, Akbari, Zhang"
YEAR = 2025
ARXIV = "2503.02175"
REPOSITORY = "vbdi/divprune"
COMMIT = "799e2d950aa01ba7860907f5a6d86061f885dca6"
VERIFIED = "The order of the kept tokens equals the official code's on 3 recorded runs."
UNCERTAIN = ""
NEEDS: frozenset[str] = frozenset()  # the features after the projector are always there
READS_QUESTION = False
NESTED = True
MERGES = False
TRAINED = False
POSITIONS = "renumber"
WHERE = "before the LLM"
SENTENCE = "Keeps patches that differ most from those already kept, so that nothing is said twice."
EQUATION = "next = argmax over the rest of min over the kept of 1 − cos(x_i, x_j)"
HEADLINE = (
    "LLaVA-1.5-7B, 56 of 576 tokens: GQA 56.9 (full 62.0), POPE 86.0 (85.8), SQA 68.3 (69.4). "
    "DivPrune, section 4."
)
TRAPS = (
    "The paper calls the result exact; its algorithm and code are greedy. Odd patches (borders, "
    "registers) are far from all others, and so come first."
)
SCORE_MEANS = "order of choice, 1 is first"
OPTIONS: dict[str, tuple] = {}
VARIANTS: dict[str, dict] = {}


def schedule(size: Size, budget: int) -> list[Stage]:
    """Prune once, before the language model: every layer then sees `budget` tokens."""
    return [Stage(0, budget)]


def floor(size: Size) -> int:
    """Any budget from one token on can be reached."""
    return 1


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


def score(signals: Signals) -> Tensor:
    """Give the greedy rank turned around: 1 for the first token chosen, 0 for the last; [N]."""
    return falling(order(signals.features))


def keep(signals: Signals, stage: Stage) -> Kept:
    """Keep the first K of the greedy order, put back in the order of the picture."""
    return Kept(top(score(signals), stage.keep))
