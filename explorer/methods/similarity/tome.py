"""ToMe on the picture's tokens: average look-alikes in pairs, until few enough are left.

Bolya, Fu, Dai, Zhang, Feichtenhofer, Hoffman, "Token Merging: Your ViT but Faster", ICLR 2023,
arXiv 2210.09461. Official code: facebookresearch/ToMe @af95e4b, tome/merge.py. There it runs inside
a tower; here between tower and projector, in rounds, as in Li et al., "VideoChat-Flash", 2025,
2501.00574: OpenGVLab/VideoChat-Flash @2f8e2f5, tome16_mlp_hd64.py (merge_tokens). There the model
was trained with it, here not. Does not read the question.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.ops.crops import crop_of, equal_shares
from explorer.methods.ops.groups.bipartite import halvings, merged_down, unlike
from explorer.methods.ops.merging import all_merged, group_means, in_token_order
from explorer.methods.signals import Kept, Signals, Size, Stage


@dataclass(frozen=True)
class ToMe(BeforeLLM):
    """K means of look-alikes."""

    card = Card(
        key="tome",
        title="ToMe",
        authors="Bolya, Fu, Dai, Zhang, Feichtenhofer, Hoffman",
        year=2022,
        arxiv="2210.09461",
        repository="facebookresearch/ToMe",
        commit="af95e4b1befa172dadccd8c81e223b10090f9579",
        verified=(
            "Rounds, matches, groups, sizes and merged tokens equal those of the official code in "
            "VideoChat-Flash's loop on 2 recorded runs, one round with keys too."
        ),
        uncertain=(
            "The paper merges inside the tower; this is a later reading, with which models were "
            "trained. More rounds by keys than one, shares of crops, and merging behind projectors "
            "that join patches are ours."
        ),
        sentence=(
            "Averages look-alike patches in pairs, again and again, until few enough are left; "
            "nothing is thrown away."
        ),
        equation="for i even: match = argmax_j odd cos(m_i, m_j); the r best pairs become means",
        headline=(
            "LLaVA-1.5-7B keeps 96.9, 95.1 and 91.6 % at 192, 128 and 64 tokens, as measured by "
            "the authors of RESTORE, table 1; SparseVLM, table 1: 88.9 % at 192."
        ),
        traps=(
            "Papers' rows for ToMe differ widely; none says whether it ran in the tower. On plain "
            "ground the order decides who is merged. To be unlike others is no importance."
        ),
        score_means="how unlike any other patch",
    )
    needs = frozenset({"hidden", "keys", "project"})
    nested = False
    merges = True
    metric: str = option("hidden", "keys", meaning="what is compared: features, or tower keys")
    listed: str = option("rounds", "first", "median", meaning="by what groups are put in order")

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Fold all tokens into `budget` means; keep all of them if none must go."""
        return [all_merged(size, budget)]

    def score(self, signals: Signals) -> Tensor:
        """Give 1 - the highest cosine with another token of the same crop, [N]."""
        crop = crop_of(signals, signals.hidden.shape[1])
        metric = self.compared(signals, self.averaged(signals))
        score = metric.new_ones(signals.count)
        for number in crop.unique():
            score[crop == number] = unlike(metric[crop == number])
        return score

    def averaged(self, signals: Signals) -> Tensor:
        """Give what is averaged: what the projector reads, or what it makes of several patches."""
        if signals.patches.shape[1] > 1:
            return signals.features.float()
        return signals.per_token(signals.hidden)

    def compared(self, signals: Signals, x: Tensor) -> Tensor:
        """Give what tokens x [N, C] are compared by, [N, d]: means of a slice a head."""
        if self.metric == "keys" and signals.patches.shape[1] == 1:
            return signals.per_token(signals.keys)
        d = signals.keys.shape[2]
        sliced = signals.patches.shape[1] == 1 and x.shape[1] % d == 0
        return x.unflatten(1, (-1, d)).mean(1) if sliced else x

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Fold every crop's tokens into its share of the budget."""
        if stage.merge == 0:
            return Kept(torch.arange(signals.count, device=signals.grid_position.device))
        single = signals.patches.shape[1] == 1
        x = signals.once((self.spec, "x"), partial(self.averaged, signals))
        metric, made = self.compared(signals, x), 0
        group = torch.full_like(signals.patches[:, 0], -1)
        *crops, (patchless, left) = equal_shares(signals, signals.hidden.shape[1], stage.merge)
        for number, (tokens, count) in enumerate(crops[: stage.merge]):  # others get no token
            lists = signals.once((self.spec, number), partial(halvings, metric[tokens]))
            group[tokens] = made + self.in_order(merged_down(lists, count))
            made += count
        merged = group_means(x, group)
        merged = signals.project(merged) if single else merged
        group[patchless[:left]] = len(merged) + torch.arange(left, device=group.device)
        merged = torch.cat([merged, signals.features[patchless[:left]].float()])
        return Kept(group.new_empty(0), merged=merged, group=group)

    def in_order(self, group: Tensor) -> Tensor:
        """Number the groups of tokens [n] as the option has it."""
        if self.listed == "rounds":
            return group
        return in_token_order(group, median=self.listed == "median")
