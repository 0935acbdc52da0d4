"""What FlowCut thinks of a patch behind one layer of a vision tower: three criteria, and their sum.

Official code: TungChintao/FlowCut @a2ecd24, flowcut/utils_flowcut.py (compute_score). Knows one
layer; not how layers are averaged, nor who leaves.
"""

from __future__ import annotations

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
