"""What a pruning method may look at (`Signals`) and what it answers (`Stage`, `Kept`).

Knows nothing of models, pictures or pages: plain tensors in, indices out. Letters: N visual tokens
that are alive, K kept, M merged, V views of the picture (1, or crops and a thumbnail), n patches in
a view, H heads, D width of the language model, Dv width of the vision tower, d width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Size:
    """How much there is to prune: N visual tokens, L decoder layers, patches in one row.

    cls: whether the vision tower has a [CLS] token, which some methods keep beside the patches.
    """

    tokens: int
    layers: int
    columns: int
    cls: bool = True


@dataclass(frozen=True)
class Stage:
    """One place where tokens leave: before the language model (0), or before its layer r."""

    layer: int
    keep: int
    merge: int = 0

    @property
    def total(self) -> int:
        """Visual tokens alive after the stage."""
        return self.keep + self.merge


@dataclass
class Kept:
    """The outcome of one stage.

    index:  [K] ascending, the tokens that stay as they are.
    merged: [M, D] new tokens in the width of the language model, or None.
    group:  [N] which merged token a token was folded into, -1 for none, or None.
    lead:   how many of the merged tokens stand before the kept ones; the others stand behind.
    """

    index: Tensor
    merged: Tensor | None = None
    group: Tensor | None = None
    lead: int = 0


@dataclass(frozen=True)
class Signals:
    """What a method may look at, at one stage. A field that the method does not name is None.

    Always there:
      place      [N, 3] view, row and column of the patch that a token stands for; -1 -1 -1 for a
                 token without a patch (newline, [CLS], merged).
      features   [N, D] the tokens as the language model gets them; inside it, their hidden states.

    Before the language model, from the layer of the vision tower that feeds the projector:
      patches          [N, P] which patches a token stands for, as view * n + patch; -1 is padding.
      cls_attention    [V, H, n] softmaxed attention of [CLS] to the patches; None without a [CLS].
      patch_attention  [V, n, n] softmaxed, mean over heads, [CLS] cut off; row = query.
      patch_logits     [V, n, n] the same before the softmax.
      keys             [V, n, d] keys, bias included, not scaled, mean over heads.
      hidden           [V, n, Dv] what the projector reads.
      cls_hidden       [V, Dv] the hidden state of [CLS]; None without a [CLS].
      project          maps [..., Dv] to [..., D].

    Inside the language model, at the stage before layer r; queries and keys carry their positions:
      last_attention    [H, N] layer r - 1: softmaxed attention of the prompt's last token.
      visual_attention  [N, N] layer r: visual queries to visual keys, softmaxed over every
                        earlier position, mean over heads.
      visual_keys       [N, d] layer r: keys, mean over heads.
    """

    place: Tensor
    features: Tensor
    patches: Tensor | None = None
    cls_attention: Tensor | None = None
    patch_attention: Tensor | None = None
    patch_logits: Tensor | None = None
    keys: Tensor | None = None
    hidden: Tensor | None = None
    cls_hidden: Tensor | None = None
    project: Callable[[Tensor], Tensor] | None = None
    last_attention: Tensor | None = None
    visual_attention: Tensor | None = None
    visual_keys: Tensor | None = None

    @property
    def count(self) -> int:
        """N, the visual tokens alive at this stage."""
        return self.place.shape[0]

    def per_token(self, patch_values: Tensor) -> Tensor:
        """Turn values of patches [V, n, ...] into values of tokens [N, ...], by their mean.

        A token without a patch gets the smallest value: it is dropped first.
        """
        flat = patch_values.reshape(-1, *patch_values.shape[2:]).float()
        real = self.patches >= 0
        share = real / real.sum(1, keepdim=True).clamp(min=1)
        picked = flat[self.patches.clamp(min=0)]
        values = (picked * share.view(*share.shape, *[1] * (flat.dim() - 1))).sum(1)
        without = ~real.any(1)
        if without.any():
            values[without] = flat.amin(0)
        return values


def top(score: Tensor, k: int) -> Tensor:
    """Give the indices of the k largest scores, ascending; among equals the lowest index wins."""
    order = torch.argsort(score, descending=True, stable=True)
    return order[:k].sort().values
