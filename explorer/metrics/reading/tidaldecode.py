"""TidalDecode: two layers choose which keys a decoding step reads; the layers between follow.

Yang, Zhang, Chen, Li, Jia, "TidalDecode: Fast and Accurate LLM Decoding with Position Persistent
Sparse Attention", arXiv 2410.05076. Official code: DerrickYLJ/TidalDecode @d67a1bdfc2ed,
src/tidal_build/modify_llama.py. Nothing is ever deleted: every step chooses anew. Knows logits of
attention; not models, pictures or answers.
Letters: H query heads, q steps, S cached keys, m keys to be read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ALL, VISUAL = "all", "visual"  # which keys compete: every one (published), or the picture's alone


@dataclass(frozen=True)
class Tidal:
    """start: the first layer that chooses; correction: the one that chooses again.

    keys: m, how many of them a layer reads. Layers before `start` and the two themselves read all.
    scope: "all" lets every key compete, as published; "visual" the picture's alone, and text is
    always read.
    """

    start: int
    correction: int
    keys: int
    scope: str = ALL

    @classmethod
    def of(cls, n_layers: int, keys: int, scope: str = ALL) -> Tidal:
        """Choose where the authors do: behind two layers, and again at 13 of 32."""
        start = max(0, min(2, n_layers - 2))
        return cls(start, max(start + 1, round(13 * n_layers / 32)), keys, scope)

    def source(self, layer: int) -> int | None:
        """Give the layer whose choice a layer reads by; None where it reads everything."""
        if layer <= self.start or layer == self.correction:
            return None
        return self.start if layer < self.correction else self.correction

    def segments(self, n_layers: int) -> tuple[range, range]:
        """Give the layers that follow the first choice, and those that follow the second."""
        late = range(self.correction + 1, n_layers)
        return range(self.start + 1, min(self.correction, n_layers)), late


def key_logits(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Give the logits of attention [H, q, S] in float32, later keys included.

    query [H, q, d], key [Hkv, S, d]. Key heads are shared by groups of query heads.
    """
    grouped = query.float().reshape(key.shape[0], -1, query.shape[-1])
    return (grouped @ key.float().transpose(1, 2)).view(*query.shape[:2], -1) * scaling


def top_keys(logits: Tensor, m: int, candidates: Tensor | None = None) -> Tensor:
    """Tell which keys every head would read, true for the m largest logits, [H, q, S].

    logits: -inf where a step can't see a key. candidates [S]: those that compete; None for all.
    Of equal ones the first is read; where there are fewer than m, all.
    """
    if candidates is not None:
        logits = logits.masked_fill(~candidates, -torch.inf)
    order = logits.argsort(dim=-1, descending=True, stable=True)[..., :m]
    read = torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, order, True)
    return read & (logits > -torch.inf)


def recall(read: Tensor, best: Tensor) -> Tensor:
    """Give the share of a layer's own best keys that are among those read, [q], mean over heads."""
    return ((read & best).sum(-1) / best.sum(-1).clamp(min=1)).mean(0)


def mass(read: Tensor, attention: Tensor) -> Tensor:
    """Give the share of a layer's attention [H, q, S] that those read would get, [q]."""
    return (attention * read).sum(-1).mean(0)


def persistence(read: Tensor) -> Tensor:
    """Give the share of the keys of one step that the next one reads again, [q - 1]."""
    before, now = read[:, :-1], read[:, 1:]
    return ((before & now).sum(-1) / before.sum(-1).clamp(min=1)).mean(0)


def heat(read: Tensor) -> Tensor:
    """Give the share of heads that read a key, [q, S]."""
    return read.float().mean(0)


def combined(early: Tensor, late: Tensor, segments: tuple[range, range]) -> Tensor:
    """Average the heat of the two choices by how many layers follow each."""
    weights = [len(segment) for segment in segments]
    return (early * weights[0] + late * weights[1]) / max(1, sum(weights))
