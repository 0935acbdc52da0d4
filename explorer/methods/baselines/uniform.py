"""Uniform: keep an even grid of patches. The baseline that knows only that pictures are flat.

The picture is cut into K regions of nearly equal size; the token in the middle of each stays.
Looks at no value of any token.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.methods.baselines.regions import regions
from explorer.methods.method import BeforeLLM, Card
from explorer.methods.signals import Kept, Signals, Stage


class Uniform(BeforeLLM):
    """The middle of each of K regions."""

    card = Card(
        key="uniform",
        title="Uniform grid",
        verified="A baseline of this project; checked by its property tests only.",
        sentence="Keeps an even grid of patches, whatever they show.",
        equation="keep the middle of each of K regions of like size",
        traps="Thin things between the kept points are lost, whatever they are.",
        score_means="the same for every patch",
    )
    nested = False

    def score(self, signals: Signals) -> Tensor:
        """Give every token the same score, [N] ones: only its place counts."""
        return torch.ones(signals.count, device=signals.grid_position.device, dtype=torch.float32)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep the token nearest to the centre of each region; of two equally near the first."""
        region = regions(signals.grid_position, stage.keep)
        tokens = (region >= 0).nonzero()[:, 0]
        region, place = region[tokens], signals.grid_position[tokens, 1:].float()
        size = region.bincount(minlength=stage.keep)
        centre = place.new_zeros(stage.keep, 2).index_add_(0, region, place) / size[:, None]
        distance = (place - centre[region]).square().sum(1)
        nearest = distance.argsort(stable=True)
        grouped = nearest[region[nearest].argsort(stable=True)]  # by region, the nearest first
        return Kept(tokens[grouped[size.cumsum(0) - size]].sort().values)
