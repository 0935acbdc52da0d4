"""What a stage adds to the logits of attention from there on: weights of tokens, and of distances.

A token that stands for w others may count for w: log w is added to the logits of its column, in the
prompt and in the answer. A function of the distance of two positions is added in the prompt alone.
Knows columns and positions of one sequence; not who asked for it. S tokens of the sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from explorer.methods.signals import Kept, Stage


@dataclass(frozen=True)
class AttentionBias:
    """log_weight [S] of every column; first_log_weight [S] in its stead in layer `first`.

    distance_bias: the function of distances; position_ids [A, S]: what it reads, one row for each
    axis of the positions. With several axes it is their mean.
    """

    log_weight: Tensor
    first: int
    first_log_weight: Tensor | None = None
    distance_bias: Callable[[Tensor], Tensor] | None = None
    position_ids: Tensor | None = None

    @cached_property
    def distances(self) -> Tensor:
        """What the distance of every two positions adds, [S, S]; the same in all layers."""
        query, key = self.position_ids[:, :, None], self.position_ids[:, None]
        return self.distance_bias(query - key).mean(0)

    @classmethod
    def behind(
        cls,
        before: AttentionBias | None,
        kept: Kept,
        stage: Stage,
        order: Tensor,
        is_kept: Tensor,
        position_ids: Tensor,
    ) -> AttentionBias | None:
        """Give what holds behind a stage; None if nothing is added.

        order [S]: the index that each token had before, -1 for a merged one; is_kept [S]: which
        are visual tokens that stay; position_ids [1, S] or [3, 1, S].
        """
        distance_bias = kept.distance_bias or (before.distance_bias if before else None)
        if before is None and kept.weight is None and distance_bias is None:
            return None
        is_merged, source = order < 0, order.clamp(min=0)
        log_weight = torch.zeros(len(order), device=order.device, dtype=torch.float32)
        if before is not None:
            log_weight = before.log_weight[source].masked_fill(is_merged, 0)
        first = None
        if kept.weight is not None:
            log_weight = _placed(log_weight, kept.weight, is_kept, is_merged)
        if kept.first_weight is not None:
            first = _placed(log_weight, kept.first_weight, is_kept, is_merged)
        positions = position_ids.reshape(-1, len(order))
        return cls(log_weight, stage.layer, first, distance_bias, positions)

    def keys(self, layer: int) -> Tensor:
        """Give what is added to every column in a layer, [S]."""
        if layer == self.first and self.first_log_weight is not None:
            return self.first_log_weight
        return self.log_weight

    def rows(self, layer: int, rows: Tensor) -> Tensor:
        """Give what is added to some rows of the prompt's logits in a layer, [R, S]."""
        bias = self.keys(layer).expand(len(rows), -1)
        if self.distance_bias is None:
            return bias
        return bias + self.distances[rows]

    def mask(self, layer: int, dtype: torch.dtype) -> Tensor:
        """Give the causal mask of the prompt in a layer, with all that is added, [1, 1, S, S]."""
        place = torch.arange(len(self.log_weight), device=self.log_weight.device)
        future = place[None] > place[:, None]
        return self.rows(layer, place).masked_fill(future, -torch.inf).to(dtype)[None, None]


def _placed(like: Tensor, weight: Tensor, is_kept: Tensor, is_merged: Tensor) -> Tensor:
    """Put the logarithms of weights [K + M] where the kept and the merged tokens stand, [S]."""
    placed, logs = like.clone(), weight.to(like).log()
    n_kept = int(is_kept.sum())
    placed[is_kept], placed[is_merged] = logs[:n_kept], logs[n_kept:]
    return placed
