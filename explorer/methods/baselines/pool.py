"""Pool: shrink the picture's grid by averaging neighbours. The baseline that throws nothing away.

The picture is cut into K regions of nearly equal size; each becomes the mean of its tokens, so a
smaller budget means a coarser picture. Looks at no score of any token.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.methods.baselines.regions import regions
from explorer.methods.method import BeforeLLM, Card
from explorer.methods.ops.merging import all_merged
from explorer.methods.signals import Kept, Signals, Size, Stage


class Pool(BeforeLLM):
    """The mean of each of K regions."""

    card = Card(
        key="pool",
        title="Pooling",
        verified="A baseline of this project; checked by its property tests only.",
        sentence="Averages neighbouring patches, as if the picture had been made smaller.",
        equation="token = mean of the features of a region",
        traps="Nothing is dropped, but a small thing is mixed with the ground around it.",
        score_means="the same for every patch",
    )
    nested = False
    merges = True

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Fold all tokens into `budget` means; keep all of them if none must go."""
        return [all_merged(size, budget)]

    def score(self, signals: Signals) -> Tensor:
        """Give every token the same score, [N] ones: all weigh alike in their mean."""
        return torch.ones(signals.count, device=signals.grid_position.device, dtype=torch.float32)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Replace each of M regions by the mean of its tokens, in reading order."""
        if stage.merge == 0:
            return Kept(torch.arange(signals.count, device=signals.grid_position.device))
        group = regions(signals.grid_position, stage.merge)
        inside = group >= 0
        features = signals.features[inside].float()
        sums = features.new_zeros(stage.merge, features.shape[1])
        sums.index_add_(0, group[inside], features)
        counts = group[inside].bincount(minlength=stage.merge)
        return Kept(group.new_empty(0), merged=sums / counts[:, None], group=group)
