"""Over a whole answer: how often each patch was read, when first, and how many ever were.

Knows heat maps of single steps; not who made them. q steps, N patches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ReadCounts:
    """often [N]: the mean of a patch's heat over the steps; first [N]: the step that read it first.

    first is -1 where none did. union: the share of patches that some step read.
    """

    often: Tensor
    first: Tensor
    union: float


def read_counts(heat: Tensor) -> ReadCounts:
    """Count over the steps of an answer. heat [q, N]: how much of the model read it, 0 for none."""
    steps, n = heat.shape
    if not steps or not n:
        return ReadCounts(heat.new_zeros(n), torch.full((n,), -1), 0.0)
    read = heat > 0
    first = read.to(torch.uint8).argmax(0).masked_fill(~read.any(0), -1)
    return ReadCounts(heat.mean(0), first, float(read.any(0).float().mean()))
