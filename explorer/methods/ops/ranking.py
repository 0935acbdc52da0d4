"""An order of tokens as a score of each, for methods that choose one token after the other."""

from __future__ import annotations

import torch
from torch import Tensor


def falling(order: Tensor) -> Tensor:
    """Turn an order of all tokens into scores: 1 for the first token, 0 for the last; [N]."""
    scores = torch.empty(len(order), device=order.device, dtype=torch.float32)
    ranks = torch.arange(len(order), dtype=torch.float32, device=order.device)
    scores[order] = 1 - ranks / max(len(order) - 1, 1)
    return scores
