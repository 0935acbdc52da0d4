"""PACT: drop what stands out to nobody, gather the rest by distance, and count what was gathered.

Dhouib et al., "PACT: Pruning and Clustering-Based Token Reduction for Faster Visual Language
Models", CVPR 2025, arXiv 2504.08966. Official code: orailix/PACT @cf9a0c9, transformers/PACT/
utils.py (DBDPC, merge_clusters, token_reduction). Does not read the question, though it acts inside
the LLM.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.methods.inside_llm.token_schedule import InsideLLM, behind
from explorer.methods.method import Card, option
from explorer.methods.ops.groups import bounded_clusters
from explorer.methods.ops.merging import group_means
from explorer.methods.signals import Kept, Signals, Size, Stage, top

LAYER = 4 / 28  # the layer before which it acts
SURVIVORS = 1.9  # tokens that are gathered, for every cluster: .55 to .29 of all, as published
RECOVERED = 1.5  # alpha: a dropped token joins a cluster if it is so many cutoffs away at most


@dataclass(frozen=True)
class PACT(InsideLLM):
    """Importance without a question, then clusters no wider than a cutoff."""

    card = Card(
        key="pact",
        title="PACT",
        authors="Dhouib, Buscaldi, Vanier, Shabou",
        year=2025,
        arxiv="2504.08966",
        repository="orailix/PACT",
        commit="cf9a0c9ff4820cb5bb1a4c97d9d92f4b838a3a52",
        verified=(
            "Scores, survivors, clusters, merged tokens, weights, logits, answers and cache "
            "lengths equal those of the official code on 2 recorded runs of tiny random models."
        ),
        uncertain=(
            "Abstract and code were read, not the paper's body. The authors fix the share and the "
            "cutoff, and the picture decides how many clusters there are; here the budget does, "
            "and share and cutoff follow from it (ours). The code for Qwen2-VL, with positions by "
            "row and column, was not run."
        ),
        sentence=(
            "Drops patches that are neither looked at nor large, folds near ones into each other, "
            "and lets each count for as many as it stands for."
        ),
        equation="s_j = ‖h_j‖ 1/H Σ_h softmax(q̄ · k_j / √d)_h; log w_c is added to c's logits",
        headline=(
            "LLaVA-OneVision-7B loses 1.4 % at 71.3 % fewer tokens (second-hand: notes on the "
            "paper)."
        ),
        traps=(
            "The question changes nothing: a patch can't see what is asked behind it. Means take "
            "in patches that were judged unimportant, if they lie near enough."
        ),
        score_means="attention of the mean query, times the length of the hidden state",
    )
    needs = frozenset({"global_attention", "joined_keys"})
    nested = False
    merges = True
    positions = "keep"
    proportional: bool = option(True, False, meaning="count a cluster for as many as it has tokens")

    def layers(self, size: Size) -> list[int]:
        """It acts before layer 4 of 28."""
        return [max(1, round(LAYER * size.layers))]

    def smallest(self, size: Size) -> list[Stage]:
        """A single cluster is left after the first layers."""
        return [Stage(min(self.layers(size)[0], size.layers), 0, 1)]

    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Solve K = (r N + (L - r) n) / L for the n clusters."""
        [layer] = self.layers(size)
        return [Stage(layer, 0, min(behind(size, layer, budget), size.tokens))]

    def score(self, signals: Signals) -> Tensor:
        """Give s_j, [N]: attention of the mean query, times the norm of the hidden state."""
        return signals.global_attention.float().mean(0) * signals.features.float().norm(dim=1)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Gather the best tokens into as many clusters as the stage has, and recover near ones."""
        if stage.merge == 0:
            return Kept(torch.arange(signals.count, device=signals.grid_position.device))
        score, count = self.score(signals), stage.merge
        share = min(1, SURVIVORS * count / signals.count)
        survivors = top(score, max(count, int(signals.count * share)))
        distance = bounded_clusters.distances(signals.joined_keys)
        cutoff = bounded_clusters.cutoff_for(distance, survivors, count)
        centre = bounded_clusters.centres(distance, survivors, cutoff)
        group = bounded_clusters.gathered(distance, centre, RECOVERED * cutoff)
        # differs: where the nearest cutoff leaves fewer, the best of those covered stand alone
        covered = survivors[~torch.isin(survivors, centre)]
        alone = covered[top(score[covered], count - len(centre))]
        order = torch.cat([centre, alone])
        group[alone] = torch.arange(len(centre), count, device=group.device)
        return self.merged(signals, order, group)

    def merged(self, signals: Signals, centre: Tensor, group: Tensor) -> Kept:
        """Replace each of `centre` [M] by the mean of its group; group [N], -1 for the lost."""
        place = centre.argsort()
        group = torch.where(group < 0, -1, place.argsort()[group.clamp(min=0)])
        size = group[group >= 0].bincount(minlength=len(centre))
        # the code takes the logarithm in half precision: log 7 = 1.9453
        weight = size.float().log().half().float().exp() if self.proportional else None
        means = group_means(signals.features, group)
        return Kept(centre[:0], means, group, centre=centre[place], weight=weight)
