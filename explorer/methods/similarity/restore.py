"""RESTORE: what another method keeps stays where it was, and averages of the rest weigh for many.

Cho et al., "Improving Visual Token Reduction via Rectifying Distortions for Efficient Multimodal
LLM Inference", ICML 2026, arXiv 2606.01711. Official code: cvlab-yonsei/RESTORE @9b27e68,
llava/model/modeling_llama_restore.py and tokenreduction/tore/ (distinctive_anchor_merging); GPL-3,
followed by its description. Does not read the question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.methods.attention.holov import HoloV
from explorer.methods.attention.vispruner import VisPruner
from explorer.methods.method import BeforeLLM, Card, option, positions_option
from explorer.methods.ops.groups.anchors import around_anchors
from explorer.methods.ops.merging import group_means, rest
from explorer.methods.signals import Kept, Signals, Size, Stage
from explorer.methods.similarity.divprune import DivPrune

BASES = {method.card.key: method for method in (DivPrune(), VisPruner(), HoloV())}


@dataclass(frozen=True)
class Restore(BeforeLLM):
    """Half of the budget by a base method, half in means; positions and attention as in full."""

    card = Card(
        key="restore",
        title="RESTORE",
        authors="Cho, Baek, Kim, Ham",
        year=2026,
        arxiv="2606.01711",
        repository="cvlab-yonsei/RESTORE",
        commit="9b27e687a2b877d6facacae093b8d9686afa5c6f",
        verified=(
            "With DivPrune: kept tokens, anchors, groups, sizes, positions, merged tokens, the "
            "term of distances, logits and answers equal those of the official code on 2 recorded "
            "runs of tiny random models."
        ),
        uncertain=(
            "Code, README and abstract were read, not the paper: the code takes as rivals of an "
            "anchor tokens of lower density, where density-peak clustering takes denser ones. "
            "Width and base of the distances are the model's own here, fixed in the code. Where "
            "positions tell row and column, the term is the mean over the axes (ours); so are "
            "several views as one set, and one token alone."
        ),
        sentence=(
            "Half of the tokens another method keeps, half are means of the rest; all stay where "
            "they were and count for what they replace."
        ),
        equation="logit_ij += log size_j + log(2 − φ(p_i − p_j)), φ(d) = mean_m cos(d θ_m)",
        headline=(
            "Consistent gains on several reduction methods (abstract); tables could not be read."
        ),
        traps=(
            "Only half of the tokens are as they were. Beside the plain base method (positions "
            "renumbered), the gain has four parts; each can be switched off by itself."
        ),
        score_means="that of the base method",
    )
    needs = frozenset({"rotary_frequencies"}).union(*(base.needs for base in BASES.values()))
    nested = False
    merges = True
    positions: str = positions_option("keep", "renumber")
    base: str = option(*BASES, meaning="the method that chooses the first half")
    sizes: bool = option(True, False, meaning="let a mean count for as many as it stands for")
    distance: bool = option(True, False, meaning="give far keys back what their distance costs")
    anchors: str = option("sparser", "denser", meaning="whom an anchor must differ from")

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Keep the half, rounded down, and make the others of means."""
        if budget == size.tokens:
            return [Stage(0, budget)]
        return [Stage(0, budget // 2, budget - budget // 2)]

    def score(self, signals: Signals) -> Tensor:
        """Give the base method's score, [N]."""
        return BASES[self.base].known_score(signals)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep what the base keeps, merge the others, and tell what attention is to make up for."""
        everything = torch.arange(signals.count, device=signals.grid_position.device)
        if stage.merge == 0:
            return Kept(everything)
        kept = everything[:0]
        if stage.keep:
            kept = BASES[self.base].keep(signals, Stage(0, stage.keep)).index
        others = rest(kept, signals.count)
        group, centre = around_anchors(signals.features, others, stage.merge, self.anchors)
        size = group[group >= 0].bincount()
        weight = torch.cat([torch.ones_like(kept), size]).float()
        first = torch.full_like(weight, signals.count / stage.total)  # the code's, found by trial
        return Kept(
            kept,
            group_means(signals.features, group),
            group,
            centre=centre,
            weight=weight if self.sizes else None,
            first_weight=first if self.sizes else None,
            distance_bias=farness(signals.rotary_frequencies) if self.distance else None,
        )


def farness(frequencies: Tensor) -> Callable[[Tensor], Tensor]:
    """Give log(2 - phi(d)) as a function of whole distances; frequencies theta_m [d / 2]."""

    def bias(distance: Tensor) -> Tensor:
        steps = torch.arange(int(distance.abs().max()) + 1, device=distance.device)
        phi = (steps[:, None] * frequencies.to(distance.device).float()).cos().mean(1)
        return (2 - phi).log()[distance.abs()]

    return bias
