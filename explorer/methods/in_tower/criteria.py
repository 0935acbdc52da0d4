"""What FlowCut thinks of the patches behind one layer of a vision tower, and how many leave there.

Three criteria, and their sum; a count that follows from how peaked attention is. Official
code: TungChintao/FlowCut @a2ecd24, flowcut/utils_flowcut.py (compute_score). Knows one layer; not
how layers are averaged, nor who leaves.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from explorer.methods.observed import TowerLayer


def layer_score(layer: TowerLayer) -> Tensor:
    """Give s_j of the patches behind a layer, [V, m]."""
    attention, size = layer.attention(), value_size(layer)
    if not layer.has_cls:  # as in the authors' code for Qwen2-VL
        return attention * size
    likeness = value_likeness(layer)
    shares = (each / each.sum(1, keepdim=True) for each in (attention, likeness))
    return sum(shares) * size


def value_likeness(layer: TowerLayer) -> Tensor:
    """Give c_j: mean over heads of softmax_j(v_CLS · v_j), not scaled, [V, m]."""
    value = layer.value.float()
    return (value[:, :, :1] @ value.transpose(2, 3))[:, :, 0].softmax(-1).mean(1)[:, 1:]


def value_size(layer: TowerLayer) -> Tensor:
    """Give the L1 norm of the mean over heads of the values, [V, m]."""
    return layer.value.float().mean(1).abs().sum(-1)[:, int(layer.has_cls) :]


def n_leaving(attention: Tensor, target: int, left: int) -> int:
    """Give how many leave behind a layer: the more, the more peaked its attention [V, n] is."""
    n = attention.shape[1]
    share = attention / attention.sum(1, keepdim=True)
    entropy = -torch.xlogy(share, share).sum(1) / math.log(n)
    most = ((n - target) / left**0.5 * (1 - entropy**2)).round()  # half to even
    return min(max(int(most.max()), 0), n - target)  # views lose as many as the one that asks most
