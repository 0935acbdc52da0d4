"""ZOO-Prune: keep tokens to which the projector is sensitive, and that differ from each other.

Kim et al., "ZOO-Prune: Training-Free Token Pruning via Zeroth-Order Gradient Estimation in
Vision-Language Models", CVPR 2026, arXiv 2509.24837. Official code: AIM-SKKU/ZOO-Prune @159f7f9,
LLaVA/llava/model/llava_arch.py (select_tokens_sads). Does not read the question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.ops.crops import crop_of, in_turn
from explorer.methods.ops.ranking import falling
from explorer.methods.signals import Signals


@dataclass(frozen=True)
class ZooPrune(BeforeLLM):
    """Sensitive tokens that differ from each other."""

    card = Card(
        key="zooprune",
        title="ZOO-Prune",
        authors="Kim, Zhang, Liu, Jung, Lee, Hong",
        year=2025,
        arxiv="2509.24837",
        repository="AIM-SKKU/ZOO-Prune",
        commit="159f7f960780",
        verified=(
            "Sensitivities (to 2 in 1,000: finite differences) and the order of the kept tokens "
            "equal those of the official code on 3 recorded runs, all of them without crops."
        ),
        uncertain=(
            "The paper was read in two summaries. The code draws its directions unseeded and in "
            "half precision, where so small a nudge is lost; here they are seeded and in single "
            "precision. The code chooses crop by crop and keeps newline tokens; that every crop "
            "gets the same share, and that newline tokens count in the budget, is ours. Its "
            "low-rank projector is left out."
        ),
        sentence=(
            "Nudges every patch a little and keeps those whose token changes most, as long as they "
            "are not like one that is kept."
        ),
        equation=(
            "S_i = 1/m Σ_j |M(x_i + h u_j) − M(x_i − h u_j)| / 2h; next = argmax w_i · min d_ij"
        ),
        headline="LLaVA-1.5-7B keeps 98.3, 97.6 and 95.2 % at 192, 128 and 64 (second-hand).",
        traps="Sensitive here is the projector, not the answer: the question plays no part.",
        score_means="order of choice by sensitivity and difference",
    )
    needs = frozenset({"hidden", "project_difference"})
    seed: int = option(0, 1, 2, 3, 4, meaning="which directions are drawn")
    m: int = option(64, 16, 32, 128, meaning="how many directions")
    h: float = option(0.01, 0.001, 0.1, 1.0, meaning="the length of a nudge")

    def score(self, signals: Signals) -> Tensor:
        """Give the greedy rank turned around, 1 first and 0 last, crops taking turns; [N]."""
        n, width = signals.hidden.shape[1:]
        # where the projector joins several patches, all of them are nudged alike
        u = directions(width, seed=self.seed, m=self.m).repeat(1, signals.patches_per_token)
        sensitive = sensitivity(signals.unprojected(), signals.project_difference, u, self.h)
        crop, orders = crop_of(signals, n), []
        for number in crop[crop >= 0].unique():  # select_tokens_sads_multi_frames
            tokens = (crop == number).nonzero()[:, 0]
            orders.append(tokens[order(weights(sensitive[tokens]), signals.features[tokens])])
        newlines = int((crop < 0).sum())  # never pruned, so they move from the end to the front
        return falling(in_turn(orders, signals.count).roll(newlines))


def directions(width: int, *, seed: int = 0, m: int = 64) -> Tensor:
    """Draw one bank of m unit vectors for all tokens, [m, width]; the same on every device."""
    random = torch.Generator().manual_seed(seed)
    drawn = torch.randn(m, width, generator=random, dtype=torch.float32)
    return normalize(drawn, dim=1)


def sensitivity(
    x: Tensor, differ: Callable[[Tensor, Tensor], Tensor], u: Tensor, h: float = 0.01
) -> Tensor:
    """Give S_i, the mean length of the central differences (Eq. 2-4): x [n, Dv] -> [n]."""
    x, total = x.float(), torch.zeros(len(x), device=x.device, dtype=torch.float32)
    for part in u.to(x.device).split(8):  # not all directions at once
        total += differ(x, h * part[:, None]).float().norm(dim=-1).sum(0)
    return total / (len(u) * 2 * h)


def order(weight: Tensor, features: Tensor) -> Tensor:
    """Give all tokens, the heaviest first, then argmax of weight x distance to the kept; [N]."""
    unit = normalize(features.float(), dim=1)
    # numpy: calls on so few numbers take torch several times as long
    distance, heavy = (each.cpu().numpy() for each in (1 - unit @ unit.T, weight))
    nearest, barred = np.ones_like(heavy), np.zeros_like(heavy)
    chosen: list[int] = []
    for _ in range(len(heavy)):
        pick = int((nearest * heavy + barred).argmax())  # of equals the lowest index
        nearest = np.minimum(nearest, distance[pick]) if chosen else distance[pick]
        barred[pick] = -np.inf
        chosen.append(pick)
    return torch.tensor(chosen, device=features.device)


def weights(sensitive: Tensor) -> Tensor:
    """Stretch S to 0..1 over a crop; all equal gives 1 everywhere."""
    low, high = sensitive.aminmax()
    alike = high - low <= 1e-3 * high  # but for rounding, as behind a linear projector
    return torch.ones_like(sensitive) if alike else (sensitive - low) / (high - low + 1e-8)
