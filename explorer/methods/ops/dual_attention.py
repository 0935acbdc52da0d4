"""Two filters by what the question looks at, and a set that passes both unasked.

The step behind each of MustDrop's stages in the LLM (liuting20/MustDrop @909afa5, llava/model/
language_model/modelling_sparse_llama.py, dual_attention_filter). Does not know where stages are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from explorer.methods.ops.saliency import saliency
from explorer.methods.signals import Signals, top

KEYS = 0.08  # of the tokens: so many never leave


def attention(signals: Signals) -> tuple[Tensor, Tensor]:
    """Give g_j and m_j [N]: attention of all words together, and of the one that looks the most."""
    rows = signals.tail_attention.float().mean(0)  # [T, N]
    return rows.sum(0), rows.amax(0)


def filtered(together: Tensor, single: Tensor, least: float, least_single: float) -> Tensor:
    """Give lambda [N]: at least 1 for a token that passes one of the filters, G or I."""
    return torch.maximum(together / (least * together.sum()), single / least_single)


def key_set(signals: Signals, room: int) -> Tensor:
    """Give the tokens that never leave: what [CLS] looks at most in the tower's last layer."""
    seen = saliency(signals, "last_cls_attention")
    # differs: at most half of the places, so that small budgets exist
    return top(seen, min(math.ceil(KEYS * len(signals.inputs)), room // 2))
