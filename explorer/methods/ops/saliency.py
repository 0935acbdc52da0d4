"""Saliency: how much the vision tower looks at each patch, by its [CLS] or without one.

The first step of methods that rank by [CLS] attention and can do without. Does not know what is
done with it.
"""

from __future__ import annotations

from torch import Tensor

from explorer.methods.signals import Signals


def attention_per_head(signals: Signals, name: str = "cls_attention") -> Tensor:
    """Give the attention of each view's [CLS] to its patches, head by head, [V, H, n].

    name: the signal, which tells the layer. Without [CLS], the attention that a patch receives on
    average from all patches in the layer that feeds the projector, [V, 1, n].
    """
    rows = getattr(signals, name)
    if rows is not None:
        return rows.float()
    return signals.patch_attention.float().mean(1, keepdim=True)


def saliency(signals: Signals, name: str = "cls_attention") -> Tensor:
    """Give the mean over heads of `attention_per_head`, by token, [N]."""
    return signals.per_token(attention_per_head(signals, name).mean(1))
