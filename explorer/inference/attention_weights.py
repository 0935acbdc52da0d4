"""A layer's queries, keys and values, and rows of attention weights in float32, as few as needed.

Knows tensors of one layer; not who asks, nor what becomes of the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

MAX_ATTENTION_ELEMENTS = 50_000_000  # numbers of a matrix of attention


def causal_rows(
    query: Tensor,
    key: Tensor,
    rows: Tensor,
    scaling: float,
    key_mask: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Give the softmaxed causal attention of a few query rows, [..., H, R, S] in float32.

    query [..., H, R, d] and key [..., Hkv, S, d] carry their positions; rows [R] are the places of
    the queries among the S keys. Key heads are shared by groups of query heads. key_mask [..., S]
    is false where a key is padding; bias [..., R, S] is added to the logits of every head.
    """
    *batch, H, R, d = query.shape
    Hkv, S = key.shape[-3:-1]
    grouped = query.float().reshape(*batch, Hkv, H // Hkv * R, d)
    logits = (grouped @ key.float().transpose(-1, -2)).view(*batch, H, R, S) * scaling
    if bias is not None:
        logits = logits + bias.to(logits)[..., None, :, :]
    future = torch.arange(S, device=key.device)[None, :] > rows[:, None]
    if key_mask is not None:
        future = future | ~key_mask.to(future.device)[..., None, None, :]
    return logits.masked_fill(future, float("-inf")).softmax(-1)


def queries_and_keys(
    layer: nn.Module, hidden_states: Tensor, cos_sin: tuple[Tensor, Tensor], rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Project what would enter a decoder layer: queries [H, R, d] of some rows, keys [Hkv, S, d].

    hidden_states [1, S, D] are the layer's input. The layer itself is not run (for methods that
    rank by "the next layer's attention" before that layer sees the tokens).
    """
    attention, (cos, sin) = layer.self_attn, cos_sin
    attention_input = layer.input_layernorm(hidden_states)
    own_cos_sin = cos[:, rows], sin[:, rows]
    query = _rotated_heads(attention, "q", attention_input[:, rows], own_cos_sin)
    key = _rotated_heads(attention, "k", attention_input, cos_sin)
    return query[0], key[0]


def keys_and_values(
    layer: nn.Module, hidden_states: Tensor, cos_sin: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Project what would enter a decoder layer [B, S, D]: keys and values, [B, Hkv, S, d] each."""
    attention_input = layer.input_layernorm(hidden_states)
    keys = _rotated_heads(layer.self_attn, "k", attention_input, cos_sin)
    return keys, _split_heads(layer.self_attn, "v", attention_input).transpose(1, 2)


def values_of(layer: nn.Module, hidden_states: Tensor) -> Tensor:
    """Project what enters a decoder layer [B, S, D] to its values, [B, Hkv, S, d]."""
    attention_input = layer.input_layernorm(hidden_states)
    return _split_heads(layer.self_attn, "v", attention_input).transpose(1, 2)


def _split_heads(attention: nn.Module, name: str, attention_input: Tensor) -> Tensor:
    """Project [B, S, D] by the projection "q", "k" or "v" and cut it into heads, [B, S, H, d]."""
    projected = getattr(attention, f"{name}_proj")(attention_input)
    return projected.view(*attention_input.shape[:2], -1, attention.head_dim)


def _rotated_heads(
    attention: nn.Module, name: str, attention_input: Tensor, cos_sin: tuple[Tensor, Tensor]
) -> Tensor:
    """Give queries "q" or keys "k" with their positions, [B, H, S, d], normed if the model does."""
    heads = _split_heads(attention, name, attention_input)
    norm = getattr(attention, f"{name}_norm", None)
    heads = (heads if norm is None else norm(heads)).transpose(1, 2)
    rotated, _ = apply_rotary_pos_emb(heads, heads, *cos_sin)
    return rotated


def pagerank(
    query: Tensor,
    key: Tensor,
    scaling: float,
    bias: Tensor | None = None,
    temperature: float = 0.1,
    steps: int = 5,
) -> Tensor:
    """Give the PageRank of every token on a layer's attention, [S]: AIM's importance.

    query [H, S, d], key [Hkv, S, d]; bias [S, S] is added to the logits. Each head is ranked
    from 1 / S everywhere, without damping; heads are joined by the root of the mean square.
    """
    (H, S, _), group = query.shape, query.shape[0] // key.shape[0]
    future = torch.ones(S, S, dtype=torch.bool, device=key.device).triu(1)
    total = torch.zeros(S, device=key.device, dtype=torch.float32)
    for head in range(H):  # one at a time: all of them may take gigabytes
        logits = query[head].float() @ key[head // group].float().T * scaling
        logits = logits if bias is None else logits + bias
        transition = (logits.masked_fill_(future, -torch.inf) / temperature).softmax(-1)
        rank = torch.full((S,), 1 / S, device=key.device)
        for _ in range(steps):
            rank = rank @ transition
        total += rank**2
    return (total / H).sqrt()


def without_positions(heads: Tensor, cos_sin: tuple[Tensor, Tensor]) -> Tensor:
    """Turn queries or keys [H, S, d] back by their positions: what they were before the rotary.

    cos, sin [1, S, d]: of the positions of these S tokens.
    """
    cos, sin = (part.float() for part in cos_sin)
    turned_back, _ = apply_rotary_pos_emb(heads[None].float(), heads[None].float(), cos, -sin)
    return (turned_back / (cos**2 + sin**2)[:, None])[0]  # some models stretch cos and sin


def last_rows(
    query: Tensor, key: Tensor, scaling: float, lengths: list[int], bias: Tensor | None = None
) -> Tensor:
    """Give the attention of the newest token of every sequence in a pack, [H, B, keys] in float32.

    query [1, H, S, d], key [1, Hkv, S, d]; lengths [B] of the sequences, which
    stand one behind the other. bias [S]: added to what its own sequence's newest token sees.
    """
    _, H, S, d = query.shape
    counts = torch.tensor(lengths, device=query.device)
    ends = counts.cumsum(0)
    grouped = query[0, :, ends - 1].float().reshape(key.shape[1], -1, d)
    logits = (grouped @ key[0].float().transpose(1, 2)).view(H, -1, S) * scaling
    if bias is not None:
        logits = logits + bias.to(logits)
    if len(lengths) > 1:
        place = torch.arange(S, device=query.device)
        own = (place >= (ends - counts)[:, None]) & (place < ends[:, None])
        logits = logits.masked_fill(~own, float("-inf"))
    return logits.softmax(-1)
