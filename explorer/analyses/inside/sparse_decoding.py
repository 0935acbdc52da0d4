"""Decode so that a step reads only the keys that TidalDecode chooses: its apply mode.

The published scheme, inside a run that decodes alone. Nothing is faster here: what isn't read is
masked. Knows batches and keys; not pictures or words.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.analyses.inside.layer_keys import PICTURE, LayerKeys, carried
from explorer.inference.batch import DecodeBatch
from explorer.inference.prefill import PrefillRun
from explorer.metrics.reading.tidaldecode import VISUAL, Tidal, key_logits, top_keys


class SparseDecodeBatch(DecodeBatch):
    """A run whose tokens read all keys in two layers and, in the others, those chosen there.

    keys [L]: whose keys the caches hold when decoding begins.
    """

    def __init__(self, run: PrefillRun, tidal: Tidal, keys: list[LayerKeys]):
        super().__init__([run])
        self.tidal, self.keys = tidal, keys
        self._read: dict[int, Tensor] = {}  # by the layer that chose

    def attention_mask(self, layer: int, query: Tensor, keys: Tensor) -> Tensor | None:
        """Give sdpa what each head of the new token may see, [1, H, 1, keys]."""
        mask, length, tidal = super().attention_mask(layer, query, keys), keys.shape[2], self.tidal
        if layer in (tidal.start, tidal.correction):
            logits = key_logits(query[0], keys[0], self.scaling[layer])
            logits = logits.to(self.keys[layer].kind.device)
            candidates = None
            if tidal.scope == VISUAL:
                candidates = self.keys[layer].kinds(length) == PICTURE
            self._read[layer] = top_keys(logits, tidal.keys, candidates)
        source = tidal.source(layer)
        if source is None:
            return mask
        chosen = self._read[source]
        there = self.keys[source].numbers(chosen.shape[-1])
        read = carried(chosen, there, self.keys[layer].numbers(length))
        if tidal.scope == VISUAL:
            read = read | (self.keys[layer].kinds(length) != PICTURE)
        read = read | ~read.any(-1, keepdim=True)  # all that was chosen has left: nothing to follow
        added = torch.zeros((), dtype=query.dtype, device=query.device) if mask is None else mask
        return torch.where(read[None].to(query.device), added, -torch.inf)
