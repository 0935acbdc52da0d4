"""Saliency: how much the vision tower looks at each patch, by its [CLS] or without one.

The first step of methods that rank by [CLS] attention and can do without. Does not know what is
done with it.
"""

from __future__ import annotations

from torch import Tensor

from explorer.methods.signals import Signals


def attention_per_head(signals: Signals) -> Tensor:
    """Give the attention of each view's [CLS] to its patches, head by head, [V, H, n].

    Without [CLS], the attention that a patch receives on average from all patches, [V, 1, n].
    """
    if signals.cls_attention is not None:
        return signals.cls_attention.float()
    return signals.patch_attention.float().mean(1, keepdim=True)
