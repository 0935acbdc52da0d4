"""What is taken of single layers of a vision tower: rows of attention, and keys, in float32.

Knows queries and keys of one layer; not which method wants what comes of them, nor the picture.
Letters as in methods/signals.py; S patches and, where there is one, [CLS] in front.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from explorer.inference import attention_weights
from explorer.vlm.attention import QkListener
from explorer.vlm.components import Tower
from explorer.vlm.turns.current_run import yield_turn


def cls_attention(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Give the softmaxed attention of [CLS] to the patches, [V, H, n]."""
    return _cls_row(query, key, scaling).softmax(-1)[..., 1:]


def cls_logits(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Give what becomes that attention, [V, H, n]: scaled products, before the softmax."""
    return _cls_row(query, key, scaling)[..., 1:]


def _cls_row(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    return (query[:, :, :1].float() @ key.float().transpose(2, 3)).squeeze(2) * scaling


def wide_cls_attention(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Give the softmaxed attention of [CLS] to the patches as if all heads were one, [V, n]."""
    row = (query[:, :, :1].float() @ key.float().transpose(2, 3)).squeeze(2).sum(1)
    heads, width = query.shape[1], query.shape[3]
    return (row * (heads * width) ** -0.5).softmax(-1)[:, 1:]


def mean_rows(query: Tensor, key: Tensor, scaling: float, wanted: frozenset[str]) -> list:
    """Give the named ones of patch_attention and patch_logits, [V, n, keys], mean over heads.

    A few heads at a time: thousands of patches would take gigabytes.
    """
    V, H, n, _ = query.shape
    most = attention_weights.MAX_ATTENTION_ELEMENTS // (V * n * key.shape[2])
    sums = {name: 0 for name in wanted}
    for heads in torch.arange(H).split(max(1, most)):
        yield_turn()
        part = slice(int(heads[0]), int(heads[-1]) + 1)
        logits = query[:, part] @ key[:, part].transpose(2, 3) * scaling
        for name in wanted:
            rows = logits.softmax(-1) if name == "patch_attention" else logits
            sums[name] = sums[name] + rows.sum(1)
    return [(name, rows / H) for name, rows in sums.items()]


def received_attention(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Give the attention that each token receives, mean over heads and all queries, [V, S]."""
    wanted = frozenset({"patch_attention"})
    [(_, rows)] = mean_rows(query.float(), key.float(), scaling, wanted)
    return rows.mean(1)


def joined_keys(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Give the keys of all heads side by side, [V, S, H * d]."""
    return key.transpose(1, 2).flatten(2).float()


# signal: the layer of the tower, and what is taken of it; the first ones need a [CLS]
OF_CLS = {
    "first_cls_attention": ("first", cls_attention),
    "early_cls_attention": ("early", cls_attention),
    "last_cls_attention": ("last", cls_attention),
    "last_cls_logits": ("last", cls_logits),
    "wide_cls_attention": ("last", wide_cls_attention),
}
OF_ALL = {
    "object_attention": ("object", received_attention),
    "last_keys": ("last", joined_keys),
}


class LayerSignals:
    """Listens to a tower while it runs, and holds what it has taken of its layers, by signal."""

    def __init__(self, tower: Tower):
        self.has_cls = tower.has_cls
        self._taken: dict[str, list[Tensor]] = {}
        self._listeners: dict[nn.Module, list[QkListener]] = {}
        for name, (layer, take) in ((OF_CLS if tower.has_cls else {}) | OF_ALL).items():
            attention = getattr(tower, layer)
            if take is not joined_keys or attention is not tower.attention:  # else kept anyway
                self.listen(attention, partial(self._take, name, take))

    def listen(self, attention: nn.Module, listener: QkListener) -> None:
        """Let a listener hear a layer, beside those that hear it already."""
        self._listeners.setdefault(attention, []).append(listener)

    def _take(
        self,
        name: str,
        take: Callable[[Tensor, Tensor, float], Tensor],
        query: Tensor,
        key: Tensor,
        scaling: float,
    ) -> None:
        self._taken.setdefault(name, []).append(take(query, key, scaling))

    def listeners(self) -> dict[nn.Module, QkListener]:
        """Give one listener per layer, which tells all that want to hear it."""

        def tell(listeners: list[QkListener], query: Tensor, key: Tensor, scaling: float) -> None:
            for listener in listeners:
                listener(query, key, scaling)

        return {module: partial(tell, heard) for module, heard in self._listeners.items()}

    def taken(self) -> dict[str, Tensor]:
        """Give the signals by name, of patches alone; a tower may look at frames one by one."""
        found = {name: torch.cat(parts) for name, parts in self._taken.items()}
        return {
            name: value[:, 1:] if self.has_cls and name in OF_ALL else value
            for name, value in found.items()
        }
