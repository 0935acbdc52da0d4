"""Recycling: fold the best of the dropped tokens into a few clusters instead of losing them.

The step behind each of SparseVLM's stages (its official code: Gumpest/SparseVLMs @26a5f48,
llava/model/language_model/modelling_sparse_llama.py). Does not know how tokens were ranked.
"""

from __future__ import annotations

import torch

from explorer.methods.ops.groups.clustering import gather
from explorer.methods.ops.merging import rest
from explorer.methods.signals import Kept, Signals, Stage, top

SHARE = 0.3  # the paper's tau: of the dropped tokens, so many are recycled
PER_CLUSTER = 10  # the paper's theta is a tenth


def recycled(dropped: int) -> int:
    """Count the tokens to recycle when so many are dropped."""
    return int(SHARE * dropped) + 1


def clusters(dropped: int) -> int:
    """Count the merged tokens that come of them."""
    return recycled(dropped) // PER_CLUSTER + 1


def recycle(signals: Signals, scores: torch.Tensor, stage: Stage, how: str) -> Kept:
    """Keep the largest of scores [N], and merge the largest of the others behind them."""
    index = top(scores, stage.keep)
    if stage.merge == 0:
        return Kept(index)
    dropped = rest(index, signals.count)
    again = dropped[top(scores[dropped], recycled(len(dropped)))]
    merged, into = gather(signals.features[again].float(), stage.merge, how)
    group = torch.full_like(signals.grid_position[:, 0], -1, dtype=torch.long)
    group[again] = into
    return Kept(index, merged=merged, group=group)
