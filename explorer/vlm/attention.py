"""The attention function that every model here runs: sdpa, and what may be recorded of it.

Knows queries and keys; not which model, layer or method wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from explorer.vlm.turns.current_run import yield_turn

QkListener = Callable[[Tensor, Tensor, float], None]
AttentionOverride = Callable[[Tensor, Tensor, Tensor, float], Tensor]
_LISTENERS: ContextVar[dict[nn.Module, QkListener] | None] = ContextVar("listeners", default=None)
_OVERRIDE: ContextVar[AttentionOverride | None] = ContextVar("override", default=None)
_PACKED: ContextVar[list[tuple[int, Tensor | None]]] = ContextVar("packed", default=[])  # noqa: B039 - never changed


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    scaling: float | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    yield_turn()  # every layer of every model passes here
    factor = query.shape[-1] ** -0.5 if scaling is None else scaling
    override, listeners = _OVERRIDE.get(), _LISTENERS.get()
    if override is not None:
        return override(query, key, value, factor).transpose(1, 2).contiguous(), None
    if listeners is not None and module in listeners:
        listeners[module](query, key, factor)

    def attend(mask: Tensor | None, *states: Tensor) -> Tensor:
        return sdpa_attention_forward(module, *states, mask, scaling=scaling, **kwargs)[0]

    packed = _PACKED.get()
    if not packed:
        return attend(attention_mask, query, key, value), None
    lengths, masks = zip(*packed, strict=True)
    masks = [None if mask is None else mask.to(query.device) for mask in masks]
    parts = zip(masks, *(states.split(lengths, 2) for states in (query, key, value)), strict=True)
    return torch.cat([attend(*part) for part in parts], 1), None


@cache
def register_attention() -> str:
    """Make the attention known to transformers, and give the name by which a model is set to it."""
    name = "sdpa_with_listeners"
    AttentionInterface.register(name, _attention)
    AttentionMaskInterface.register(name, sdpa_mask)  # without it a padded batch loses its mask
    return name


@contextmanager
def record_attention(listeners: dict[nn.Module, QkListener]) -> Iterator[None]:
    """Hand query [B, H, S, d], key [B, Hkv, S, d] and scaling of these modules to their listeners.

    Only models set to this attention are recorded, and only inside this context.
    """
    token = _LISTENERS.set(listeners)
    try:
        yield
    finally:
        _LISTENERS.reset(token)


@contextmanager
def packed_sequences(sequences: list[tuple[int, Tensor | None]]) -> Iterator[None]:
    """Let attention, inside this context, see several sequences in one row of tokens.

    They stand one behind the other, and none sees another. Each is a length and a mask of its own,
    [1, 1, S, S], or None for the causal one; no other mask may be given.
    """
    token = _PACKED.set(sequences)
    try:
        yield
    finally:
        _PACKED.reset(token)


def sdpa(
    attention: nn.Module,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    scaling: float,
) -> Tensor:
    """Compute what sdpa gives in an attention module, [B, H, S, d]."""
    output, _ = sdpa_attention_forward(attention, query, keys, values, mask, scaling=scaling)
    return output.transpose(1, 2)


@contextmanager
def override_attention(override: AttentionOverride) -> Iterator[None]:
    """Compute attention by another function than sdpa inside this context, in every module.

    It gets query [B, H, S, d], key and value [B, Hkv, S, d] and scaling, and gives [B, H, S, d].
    No mask is passed on, and nothing is recorded meanwhile.
    """
    token = _OVERRIDE.set(override)
    try:
        yield
    finally:
        _OVERRIDE.reset(token)
