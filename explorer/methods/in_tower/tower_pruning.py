"""The patches of a picture on their way through a vision tower that drops some of them.

A unit is what leaves together: the patches that the projector makes a token of, or a single one.
Knows who is still there and where; not by what patches are scored. V views, n patches in a view, U
units, J patches in a unit, m units that are alive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from explorer.methods.observed import TowerLayer
from explorer.methods.signals import Signals

KeepRule = Callable[[TowerLayer, "TowerPruning"], int | None]
"""Scores the units behind a layer, and tells how many of each view stay; None for all."""


def can_prune_tower(signals: Signals) -> bool:
    """Tell whether the tower can run with fewer patches, whose tokens are then known."""
    return signals.rerun_tower is not None and signals.patches.shape[1] == signals.patches_per_token


@dataclass(frozen=True)
class Units:
    """members [V, U, J]: the patches of each unit; real [V, U]: whether a token comes of it."""

    members: Tensor
    real: Tensor

    @classmethod
    def of(cls, signals: Signals) -> Units:
        """Take the tokens' patches for units; of a projector that joins none, all patches."""
        views, n = signals.hidden.shape[:2]
        known, joined = signals.patches, signals.patches_per_token
        if joined > 1:
            # tokens of a view stand one behind the other, and every view has as many
            members = known[known[:, 0].argsort(stable=True)] if views > 1 else known
            members = (members % n).view(views, -1, joined)
            return cls(members, torch.ones_like(members[..., 0], dtype=torch.bool))
        members = torch.arange(n, device=known.device).expand(views, n)[..., None]
        real = torch.zeros(views * n, dtype=torch.bool, device=known.device)
        real[known[known >= 0]] = True
        return cls(members, real.view(views, n))

    def per_view(self, count: int) -> int:
        """Give how many units of each view make `count` tokens, or all that there are."""
        real = self.real.sum(1, keepdim=True)
        enough = torch.arange(1, self.real.shape[1] + 1, device=real.device)
        total = torch.minimum(real, enough).sum(0)
        return int((total >= min(count, int(real.sum()))).to(torch.uint8).argmax()) + 1


class TowerPruning:
    """A rule for `Signals.rerun_tower` that drops the units which a keep rule scores least.

    alive [V, m]: the units that are left, ascending; score [V, m]: what the rule gives them;
    lengths: tokens that entered each layer, all views together.
    """

    def __init__(self, signals: Signals, keep_rule: KeepRule):
        self.signals, self.keep_rule, self.units = signals, keep_rule, Units.of(signals)
        views, count = self.units.real.shape
        self.slots = self.units.members  # where in the sequence the patches of a unit stand
        self.alive = torch.arange(count, device=self.slots.device).expand(views, count)
        self.score: Tensor | None = None
        self.lengths: list[int] = []
        self.hidden = signals.rerun_tower(self)

    def __call__(self, layer: TowerLayer) -> Tensor | None:
        """Go on behind a layer with fewer patches, if the rule says so."""
        self.lengths.append(layer.hidden.shape[0] * layer.hidden.shape[1])
        keep = self.keep_rule(layer, self)
        if keep is None or keep >= self.alive.shape[1]:
            return None
        no_token = ~self.units.real.gather(1, self.alive)
        score = self.score.masked_fill(no_token, -torch.inf)
        order = score.argsort(dim=1, descending=True, stable=True)
        best = order[:, :keep].sort(1).values
        self.alive, self.score = self.alive.gather(1, best), self.score.gather(1, best)
        slots = self.slots.gather(1, best[..., None].expand(-1, -1, self.slots.shape[2]))
        self.slots = torch.arange(slots[0].numel(), device=slots.device).expand(len(slots), -1)
        self.slots = self.slots.view(slots.shape)
        first = int(layer.has_cls)
        return torch.cat([layer.hidden[:, :first], _rows(layer.hidden[:, first:], slots)], 1)

    def means(self, values: Tensor) -> Tensor:
        """Turn values of the patches that are there into means over units, [V, m]."""
        return values.gather(1, self.slots.flatten(1)).view(self.slots.shape).mean(2)

    def placed(self, values: Tensor, absent: float) -> Tensor:
        """Put rows of the units' patches, [V, m J, ...], where the patches were, [V, n, ...]."""
        views, n = self.signals.hidden.shape[:2]
        patches = _rows(self.units.members.flatten(2), self.alive[..., None]).flatten(1)
        full = values.new_full((views, n, *values.shape[2:]), absent)
        full[torch.arange(views, device=values.device)[:, None], patches] = values
        return full

    def token_scores(self) -> Tensor:
        """Give the score of every token, [N]: -inf for those that left, least for newlines."""
        repeated = self.score.repeat_interleave(self.slots.shape[2], 1)
        scores = self.signals.per_token(self.placed(repeated, -torch.inf))
        without = self.signals.grid_position[:, 0] < 0
        return scores.masked_fill(without, float(self.score.min()) - 1)

    def unprojected(self) -> Tensor:
        """Give what the projector reads for each token that is left, [N, J * Dv]; else zeros."""
        first = self.hidden.shape[1] - self.slots[0].numel()
        rows = _rows(self.hidden[:, first:], self.slots).float()
        return replace(self.signals, hidden=self.placed(rows, 0.0)).unprojected()


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """Take rows of [V, S, C] by index [V, m, J], in its order: [V, m * J, C]."""
    flat = index.flatten(1)
    return values.gather(1, flat[..., None].expand(-1, -1, values.shape[2]))
