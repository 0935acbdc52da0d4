"""PruMerge: patches that stick out of [CLS] attention, each with its look-alikes added to it.

Shang, Cai, Xu, Lee, Yan, "LLaVA-PruMerge: Adaptive Token Reduction for Efficient Large Multimodal
Models", ICCV 2025, arXiv 2403.15388. Official code: 42Shawn/LLaVA-PruMerge @097c041,
llava/model/multimodal_encoder/clip_encoder.py (token_prune_merge_advanced, ..._plus). Attention and
keys are those of the tower's last layer, features of the one before. Does not read the question.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.method import BeforeLLM, Card, Variant, option
from explorer.methods.ops.crops import equal_shares
from explorer.methods.ops.merging import all_merged
from explorer.methods.ops.outliers import centres
from explorer.methods.signals import Kept, Signals, Size, Stage

NEIGHBOURS = 32  # that are added to each centre, however many centres there are


@dataclass(frozen=True)
class PruMerge(BeforeLLM):
    """Centres with their neighbours, and one token for all others."""

    card = Card(
        key="prumerge",
        title="LLaVA-PruMerge",
        authors="Shang, Cai, Xu, Lee, Yan",
        year=2024,
        arxiv="2403.15388",
        repository="42Shawn/LLaVA-PruMerge",
        commit="097c04116a58465e4bcb58cec44a94018a68ff1a",
        verified=(
            "Scores, outliers, centres in their order and output tokens equal those of the "
            "official code on 2 recorded runs, one of PruMerge, one of PruMerge+."
        ),
        uncertain=(
            "The authors let the picture decide how many tokens stay, about 32, or 144 with a "
            "grid. Here the budget does, and how it is divided between attention and grid is ours. "
            "The paper speaks of a weighted mean, the code adds. Without [CLS], attention received "
            "is ours, and so are equal shares of views, each with a token for its rest."
        ),
        sentence=(
            "Keeps the patches that stick out of the vision model's attention, adds their "
            "look-alikes to them, and sums the rest into one token."
        ),
        equation="y_i = x_i + Σ_{j in B_i} s_j x_j; the last one Σ of s_j x_j over all others",
        headline=(
            "LLaVA-1.5-7B, tuned with it, full / PruMerge / PruMerge+: VQA v2 78.5 / 72.0 / 76.8, "
            "POPE 85.9 / 76.3 / 84.0 (the paper's main table, second-hand)."
        ),
        traps=(
            "A token is its patch plus 32 others, mostly other centres, since only the strongest "
            "count; the picture shows the centres alone. They enter the language model in falling "
            "attention, not as they lie."
        ),
        score_means="attention from [CLS] in the last layer, all heads as one",
        stand_in="the attention that a patch receives on average",
    )
    needs = frozenset({"wide_cls_attention", "last_keys", "hidden", "project"})
    nested = False  # the centres are, without a grid; what they become is not
    merges = True
    grid: bool = option(False, True, meaning="an even grid beside the outliers")
    variants = (Variant("plus", {"grid": True}, "PruMerge+: with an even grid"),)

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Make `budget` new tokens; keep all as they are if none must go."""
        return [all_merged(size, budget)]

    def score(self, signals: Signals) -> Tensor:
        """Give s_j = softmax over [CLS] and patches of q_CLS · k_j / √(H d), [N]."""
        if signals.wide_cls_attention is None:  # differs: no official form
            return signals.per_token(signals.patch_attention.float().mean(1))
        return signals.per_token(signals.wide_cls_attention)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Give every view's centres in falling attention, and behind them the sum of the rest."""
        group, first = torch.full_like(signals.patches[:, 0], -1), 0
        if stage.merge == 0:
            return Kept(torch.arange(signals.count, device=group.device))
        scores, centre = self.known_score(signals), group.new_full((stage.merge,), -1)
        mix = scores.new_zeros(stage.merge, signals.count)
        *views, (patchless, left) = equal_shares(signals, signals.hidden.shape[1], stage.merge)
        for number, (tokens, count) in enumerate(views[: stage.merge]):  # others get no token
            near = signals.once(("near", number), lambda at=tokens: nearest(signals, at))
            order = centres(scores[tokens], count - 1, self.grid)
            mix[first : first + count, tokens] = weights(scores[tokens], near, order)
            centre[first : first + count - 1] = tokens[order]
            group[tokens] = first + count - 1
            group[tokens[order]] = first + torch.arange(count - 1, device=group.device)
            first += count
        # a token without a patch is never added to others: it stays where patches are too few
        centre[first:] = alone = patchless[:left]
        group[alone] = torch.arange(first, stage.merge, device=group.device)
        mix[group[alone], alone] = 1
        merged = signals.project(mix @ signals.unprojected())
        merged[first:] = signals.features[alone].float()
        made = partial(torch.matmul, mix)
        return Kept(group.new_empty(0), merged, group, mix=made, centre=centre)


def nearest(signals: Signals, tokens: Tensor) -> Tensor:
    """Give the tokens whose last keys are most like each one's own, itself left out, [n, 32]."""
    unit = normalize(signals.per_token(signals.last_keys)[tokens], dim=1)
    cosine = (unit @ unit.T).fill_diagonal_(-torch.inf)
    return cosine.argsort(dim=1, descending=True, stable=True)[:, : min(NEIGHBOURS, len(unit) - 1)]


def weights(scores: Tensor, near: Tensor, order: Tensor) -> Tensor:
    """Give what the new tokens are made of, [len(order) + 1, n]: centres, then the rest."""
    rest = scores.index_fill(0, order, 0)
    added = scores.new_zeros(len(order), len(scores)).scatter(1, near[order], scores[near[order]])
    added.scatter_(1, order[:, None], 1)  # differs from the paper: a sum, not a weighted mean
    return torch.cat([added, rest[None]])
