"""Obtain signals from a running model: attention rows, keys and hidden states, in float32.

Models run with sdpa. A registered attention function calls sdpa for the output and, while a
listener is set for that very attention module in this very call, hands it the queries and keys.
Listeners live in a context variable, so two visitors never share them. Does not know what a
pruning method is, and never asks a model for `output_attentions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from explorer.families.parts import Pixels, Tower
from explorer.projector import differ, project
from explorer.signals import Signals

ATTENTION = "sdpa_with_listeners"
AT_ONCE = 50_000_000  # numbers of a matrix of attention

Listener = Callable[[Tensor, Tensor, float], None]
Attend = Callable[[Tensor, Tensor, Tensor, float], Tensor]
_LISTENERS: ContextVar[dict[nn.Module, Listener] | None] = ContextVar("listeners", default=None)
_INSTEAD: ContextVar[Attend | None] = ContextVar("instead", default=None)
_PACKED: ContextVar[list[int]] = ContextVar("packed", default=[])  # noqa: B039 - never changed


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    scaling: float | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    factor = query.shape[-1] ** -0.5 if scaling is None else scaling
    instead, listeners = _INSTEAD.get(), _LISTENERS.get()
    if instead is not None:
        return instead(query, key, value, factor).transpose(1, 2).contiguous(), None
    if listeners is not None and module in listeners:
        listeners[module](query, key, factor)

    def attend(*states: Tensor) -> Tensor:
        return sdpa_attention_forward(module, *states, attention_mask, scaling=scaling, **kwargs)[0]

    lengths = _PACKED.get()
    if not lengths:
        return attend(query, key, value), None
    parts = zip(*(states.split(lengths, 2) for states in (query, key, value)), strict=True)
    return torch.cat([attend(*part) for part in parts], 1), None


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)  # without it a padded batch loses its mask


@contextmanager
def listen(listeners: dict[nn.Module, Listener]) -> Iterator[None]:
    """Hand query [B, H, S, d], key [B, Hkv, S, d] and scaling of these modules to their listeners.

    Only models set to the attention `ATTENTION` are heard, and only inside this context.
    """
    token = _LISTENERS.set(listeners)
    try:
        yield
    finally:
        _LISTENERS.reset(token)


@contextmanager
def packed(lengths: list[int]) -> Iterator[None]:
    """Let attention, inside this context, see sequences of these lengths in one row of tokens.

    They stand one behind the other, and none sees another; no mask may be given.
    """
    token = _PACKED.set(lengths)
    try:
        yield
    finally:
        _PACKED.reset(token)


def look_up(
    attention: nn.Module,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    scaling: float,
) -> Tensor:
    """Compute what sdpa gives in an attention module, [B, H, S, d]."""
    found, _ = sdpa_attention_forward(attention, query, keys, values, mask, scaling=scaling)
    return found.transpose(1, 2)


@contextmanager
def attend_by(instead: Attend) -> Iterator[None]:
    """Compute attention by another function than sdpa inside this context, in every module.

    It gets query [B, H, S, d], key and value [B, Hkv, S, d] and scaling, and gives [B, H, S, d].
    No mask is passed on, and nobody listens meanwhile.
    """
    token = _INSTEAD.set(instead)
    try:
        yield
    finally:
        _INSTEAD.reset(token)


def causal_rows(
    query: Tensor, key: Tensor, rows: Tensor, scaling: float, seen: Tensor | None = None
) -> Tensor:
    """Give the softmaxed causal attention of a few query rows, [..., H, R, S] in float32.

    query [..., H, R, d] and key [..., Hkv, S, d] carry their positions; rows [R] are the places of
    the queries among the S keys. Key heads are shared by groups of query heads. seen [..., S] is
    false where a key is padding.
    """
    *batch, H, R, d = query.shape
    shared, S = key.shape[-3:-1]
    grouped = query.float().reshape(*batch, shared, H // shared * R, d)
    logits = (grouped @ key.float().transpose(-1, -2)).view(*batch, H, R, S) * scaling
    future = torch.arange(S, device=key.device)[None, :] > rows[:, None]
    if seen is not None:
        future = future | ~seen.to(future.device)[..., None, None, :]
    return logits.masked_fill(future, float("-inf")).softmax(-1)


def queries_and_keys(
    layer: nn.Module, x: Tensor, cos_sin: tuple[Tensor, Tensor], rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Project what would enter a decoder layer: queries [H, R, d] of some rows, keys [Hkv, S, d].

    x [1, S, D] is the layer's input. The layer itself is not run (engine.md section 2: methods
    that rank by "the next layer's attention" before that layer sees the tokens).
    """
    attention = layer.self_attn
    h = layer.input_layernorm(x)
    cos, sin = cos_sin

    def heads(projection: nn.Module, states: Tensor, norm: nn.Module | None) -> Tensor:
        split = projection(states).view(1, states.shape[1], -1, attention.head_dim)
        return (split if norm is None else norm(split)).transpose(1, 2)

    q = heads(attention.q_proj, h[:, rows], getattr(attention, "q_norm", None))
    k = heads(attention.k_proj, h, getattr(attention, "k_norm", None))
    q, _ = apply_rotary_pos_emb(q, q, cos[:, rows], sin[:, rows])
    k, _ = apply_rotary_pos_emb(k, k, cos, sin)
    return q[0], k[0]


@dataclass(frozen=True)
class Seen:
    """What the vision tower made of one picture; every tower signal is derived from it.

    query, key [V, H, n (+1 with a [CLS]), d] of the layer that feeds the projector; first_cls,
    last_cls [V, H, n] attention of [CLS] in the tower's first and last layer, or None;
    hidden [V, n, Dv] what the projector reads; cls_hidden [V, Dv] or None; features [N, D] the
    visual tokens, deep what is added to them later on; project maps [..., joins * Dv] to [..., D],
    differ x and nudges to project(x + nudge) - project(x - nudge).
    """

    query: Tensor
    key: Tensor
    scaling: float
    first_cls: Tensor | None
    last_cls: Tensor | None
    hidden: Tensor
    cls_hidden: Tensor | None
    features: Tensor
    deep: tuple[Tensor, ...]
    project: Callable[[Tensor], Tensor]
    differ: Callable[[Tensor, Tensor], Tensor]
    joins: int

    @property
    def nbytes(self) -> int:
        """Bytes that this picture holds in memory."""
        tensors = (self.query, self.key, self.hidden, self.cls_hidden, self.features)
        tensors += (self.first_cls, self.last_cls, *self.deep)
        return sum(t.numel() * t.element_size() for t in tensors if t is not None)


@torch.no_grad()
def see(tower: Tower, pixels: Pixels) -> Seen:
    """Run tower and projector once, listening to its first, its last and the projector's layer."""
    heard: dict[str, object] = {"first_cls": None, "last_cls": None}
    queries, keys = [], []

    def hear(query: Tensor, key: Tensor, scaling: float) -> None:
        queries.append(query)
        keys.append(key)
        heard["scaling"] = scaling

    def cls_row(name: str) -> Listener:
        def hear_cls(query: Tensor, key: Tensor, scaling: float) -> None:
            heard[name] = _cls_attention(query, key, scaling)
            if tower.attention is getattr(tower, name.removesuffix("_cls")):
                hear(query, key, scaling)

        return hear_cls

    listeners = {tower.attention: hear}
    if tower.has_cls:
        listeners |= {tower.first: cls_row("first_cls"), tower.last: cls_row("last_cls")}
    with listen(listeners):
        states, features, deep = tower.run(pixels)
    return Seen(
        query=torch.cat(queries),  # a tower may look at one frame after the other
        key=torch.cat(keys),
        **heard,
        hidden=states[:, 1:] if tower.has_cls else states,
        cls_hidden=states[:, 0] if tower.has_cls else None,
        features=features,
        deep=deep,
        project=partial(project, tower.project, states.dtype),
        differ=partial(differ, tower.project, tower.chain, states.dtype),
        joins=tower.joins,
    )


def _cls_attention(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Give the softmaxed attention of [CLS] to the patches, [V, H, n]."""
    row = (query[:, :, :1].float() @ key.float().transpose(2, 3)).squeeze(2) * scaling
    return row.softmax(-1)[..., 1:]


def _rows(query: Tensor, key: Tensor, scaling: float, wanted: frozenset[str]) -> list:
    """Give the named ones of patch_attention and patch_logits, [V, n, keys], mean over heads.

    A few heads at a time: thousands of patches would take gigabytes.
    """
    V, H, n, _ = query.shape
    sums = {name: 0 for name in wanted}
    for heads in torch.arange(H).split(max(1, AT_ONCE // (V * n * key.shape[2]))):
        part = slice(int(heads[0]), int(heads[-1]) + 1)
        logits = query[:, part] @ key[:, part].transpose(2, 3) * scaling
        for name in wanted:
            rows = logits.softmax(-1) if name == "patch_attention" else logits
            sums[name] = sums[name] + rows.sum(1)
    return [(name, rows / H) for name, rows in sums.items()]


def tower_signals(seen: Seen, place: Tensor, patches: Tensor, needs: frozenset[str]) -> Signals:
    """Derive the named tower signals of one picture; what is not named stays None.

    place [N, 3] and patches [N, P] come from the grid.
    """
    first = 0 if seen.cls_hidden is None else 1
    query, key = seen.query.float(), seen.key.float()
    found: dict[str, object] = {"joins": seen.joins}
    if "cls_attention" in needs and first:
        found["cls_attention"] = _cls_attention(query, key, seen.scaling)
    if "first_cls_attention" in needs and first:
        found["first_cls_attention"] = seen.first_cls
    if "last_cls_attention" in needs and first:
        found["last_cls_attention"] = seen.last_cls
    cls_rows = needs & {"cls_attention", "first_cls_attention", "last_cls_attention"}
    wanted = needs & {"patch_attention", "patch_logits"}
    if cls_rows and not first:  # the stand-in
        wanted |= {"patch_attention"}
    if wanted:
        patches_only = query[:, :, first:]
        found |= {k: v[..., first:] for k, v in _rows(patches_only, key, seen.scaling, wanted)}
    if "keys" in needs:
        found["keys"] = key[:, :, first:].mean(1)
    if "hidden" in needs:
        found["hidden"] = seen.hidden.float()
    if "cls_hidden" in needs and first:
        found["cls_hidden"] = seen.cls_hidden.float().repeat(1, seen.joins)
    if "project" in needs:
        found["project"] = seen.project
    if "differ" in needs:
        found["differ"] = seen.differ
    return Signals(place=place, features=seen.features, patches=patches, **found)
