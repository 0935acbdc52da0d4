"""HoloV: give every strip of the picture a share of the budget, and keep there what [CLS] looks at.

Zou et al., "Don't Just Chase 'Highlighted Tokens' in MLLMs: Revisiting Visual Holistic Context
Retention", NeurIPS 2025, arXiv 2510.02912, section 4.1. Official code: obananas/HoloV @1d2e65e,
llava/model/utils.py (HoloV); qwen-model-HoloV/utils.py for the number of strips. Does not read the
question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.ops.merging import rest
from explorer.methods.ops.saliency import saliency
from explorer.methods.ops.strips import filled, quotas, runs, shares
from explorer.methods.signals import Kept, Signals, Stage

SCALE, GAMMA, EPSILON = 1000, 0.09, 1e-6  # of attention, of variance, of divisors: the code's own


@dataclass(frozen=True)
class HoloV(BeforeLLM):
    """What is looked at most in every strip, strips by their share of the attention."""

    card = Card(
        key="holov",
        title="HoloV",
        authors="Zou, Lu, Wang, Yan, Lyu, Zheng, Zhang, Hu",
        year=2025,
        arxiv="2510.02912",
        repository="obananas/HoloV",
        commit="1d2e65e961e698ff0e7d5bb4625489177dd9deba",
        verified=(
            "Number, scores and shares of the strips, token scores and the order of the kept "
            "tokens equal those of the official code on 2 recorded runs."
        ),
        uncertain=(
            "Paper and code differ: the paper keeps a strip's best by attention and variance "
            "(option `select`), and fetches tokens back in the FFN, which was not released. What "
            "a full strip can't hold goes one by one to others here; the code fills up with "
            "zeros. Kept tokens stand in the order of the picture, not sorted by attention. "
            "Without [CLS], attention received is ours. All views are one sequence."
        ),
        sentence=(
            "Gives every strip of the picture a share of the budget, so that one eye-catcher can't "
            "take it all."
        ),
        equation="h_i = A_i + γ V_i, V_i = Σ_j (S_ij − μ_i)² / (M − 1); q_c = K h̄_c / Σ h̄",
        headline=(
            "LLaVA-1.5-7B keeps 99.2, 98.0 and 95.8 % at 192, 128 and 64 tokens. HoloV, table 1; "
            "re-run by the authors of RESTORE: 96.5, 95.5 and 92.2 %."
        ),
        traps=(
            "The paper's crops are strips, runs of patches in reading order. As the code scales "
            "the variance by the attention's own mean, it cancels out of the shares: a strip gets "
            "what its part of the attention is."
        ),
        score_means="attention from [CLS]; with `select=holistic`, plus variance in the strip",
        stand_in="the attention that a patch receives on average",
    )
    needs = frozenset({"cls_attention"})
    nested = False  # number and shares of the strips change with the budget
    select: str = option(
        "attention", "holistic", meaning="whom a strip keeps: the code's rule, or the paper's"
    )

    def score(self, signals: Signals) -> Tensor:
        """Give A, the mean over heads of attn[h, CLS, j], [N]."""
        return saliency(signals)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep what every strip is given; tokens without a patch come in behind all others."""
        patches = (signals.grid_position[:, 0] >= 0).nonzero()[:, 0]
        count = min(stage.keep, len(patches))
        seen = self.known_score(signals)[patches]
        strips = runs(seen, strip_count(len(patches), count))
        chosen = patches[self.order(signals.features[patches], seen, strips, count)]
        others = rest(patches, signals.count)[: stage.keep - count]
        return Kept(torch.cat([chosen, others]).sort().values)

    def order(self, x: Tensor, seen: Tensor, strips: list[Tensor], budget: int) -> Tensor:
        """Choose `budget` of the tokens x [n, D], looked at `seen` [n], in the code's own order."""
        h = [holistic(x[at], seen[at]) for at in strips]
        share = shares(torch.cat([each.mean(1) for each in h]))
        size = torch.cat([at.new_full((len(at),), at.shape[1]) for at in strips])
        quota = filled(quotas(share, budget), size, share, budget)
        chosen = []
        for at, value, given in zip(strips, h, quota.split(list(map(len, strips))), strict=True):
            value = value if self.select == "holistic" else seen[at]
            best = at.gather(1, value.argsort(dim=1, descending=True, stable=True))
            # the best first where a strip is cut, all as they stand where it is not
            listed = torch.where((given >= at.shape[1])[:, None], at, best)
            place = torch.arange(at.shape[1], device=at.device)
            chosen.append(listed[place < given[:, None]])
        return torch.cat(chosen)


def strip_count(n: int, budget: int) -> int:
    """Tell how many strips n tokens are cut into: 16 for 576 tokens and 64 kept."""
    return min(max(1, 1024 * n // (576 * budget)), n)


def holistic(x: Tensor, seen: Tensor) -> Tensor:
    """Give h of the tokens x [c, M, D] of c strips, whose attention is seen [c, M]; [c, M]."""
    length = x.shape[1]
    z = x.float() / (x.float().norm(dim=2, keepdim=True) + EPSILON)
    alike = (z @ z.mT).masked_fill(torch.eye(length, dtype=torch.bool, device=x.device), 0)
    among = max(
        length - 1, 1
    )  # differs: a strip of one token has no variance, and scores like others
    mean = alike.sum(2, keepdim=True) / among
    variance = (alike - mean).square().sum(2) / among
    t = SCALE * seen
    scale = t.mean(1, keepdim=True) / (variance.mean(1, keepdim=True) + EPSILON)
    return t + GAMMA * variance * scale
