"""Pass one or several prompts through one decoder layer, as one row of tokens.

Prompts stand one behind the other, and none sees another; see `packed_sequences`. What methods may
look at is recorded on the way. Knows Llama-like decoder layers; not stages, methods or answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from transformers import Cache

from explorer.inference.layer_signals import LayerActivations, SignalRecorder
from explorer.inference.sequence import Sequence
from explorer.vlm.attention import packed_sequences, record_attention

QkCallback = Callable[[list["ForwardState"], Tensor, Tensor, float], None]
"""Gets the states whose queries [1, H, S, d] and keys [1, Hkv, S, d] these are, and the scaling."""
MAX_PACKED_TOKENS = 1000  # tokens that pass a layer as one row; more don't make it faster
Item = TypeVar("Item")


@dataclass
class ForwardState:
    """One prompt on its way through the layers: its tokens and what is recorded of them.

    cache: takes its keys and values, if they are wanted later on.
    """

    sequence: Sequence
    recorder: SignalRecorder
    cache: Cache | None = None

    @property
    def length(self) -> int:
        """How many tokens are on their way."""
        return self.sequence.hidden_states.shape[1]


class _SplitCache:
    """What a layer takes for a cache: gives every prompt of a pack its own keys and values."""

    def __init__(self, states: list[ForwardState]):
        self.states = states

    def update(self, keys: Tensor, values: Tensor, layer: int, **_) -> tuple[Tensor, Tensor]:
        lengths = [state.length for state in self.states]
        parts = zip(self.states, keys.split(lengths, 2), values.split(lengths, 2), strict=True)
        for state, own_keys, own_values in parts:
            state.cache.update(own_keys, own_values, layer)
        return keys, values


def run_layer(
    layer: nn.Module,
    states: list[ForwardState],
    body: nn.Module,
    on_qk: QkCallback | None,
    record_modules: bool = True,
) -> None:
    """Pass prompts through a decoder layer and replace their hidden states by what it gives.

    on_qk: gets the layer's queries and keys. record_modules: whether what its modules do is given
    to recorders that need it. All states have a cache, or none has.
    """
    lengths = [state.length for state in states]
    hidden_states = _concatenated([state.sequence.hidden_states for state in states], 1)
    cos_sin = zip(*(state.sequence.position_embeddings(body) for state in states), strict=True)
    alone, cached = len(states) == 1, states[0].cache is not None
    masks = [state.sequence.attention_mask(layer.self_attn.layer_idx) for state in states]
    layer_kwargs = {
        "attention_mask": masks[0] if alone else None,
        "position_embeddings": tuple(_concatenated(parts, -2) for parts in cos_sin),
        "cache": states[0].cache if alone or not cached else _SplitCache(states),
        "use_cache": cached,
    }
    attention = layer.self_attn
    listeners = {attention: lambda *qk: on_qk(states, *qk)} if on_qk else {}
    packed = [] if alone else list(zip(lengths, masks, strict=True))
    with record_attention(listeners), packed_sequences(packed):
        if record_modules and any(state.recorder.needs_modules for state in states):
            activations = run_modules(layer, hidden_states, layer_kwargs)
            hidden_states = activations.hidden_states
            split = (tensor.split(lengths, 1) for tensor in activations)
            for state, *parts in zip(states, *split, strict=True):
                state.recorder.record_modules(LayerActivations(*parts), state.sequence)
        else:
            hidden_states = layer(hidden_states, **layer_kwargs)
    for state, own_states in zip(states, hidden_states.split(lengths, 1), strict=True):
        state.sequence.hidden_states = own_states
        state.sequence.add_deepstack(attention.layer_idx)


def record_qk(states: list[ForwardState], query: Tensor, key: Tensor, scaling: float) -> None:
    """Give every recorder of a pack its own queries and keys."""
    lengths = [state.length for state in states]
    parts = zip(states, query.split(lengths, 2), key.split(lengths, 2), strict=True)
    for state, own_query, own_key in parts:
        state.recorder.record_qk(own_query, own_key, scaling)


def _concatenated(tensors: Iterable[Tensor], dim: int) -> Tensor:
    first, *more = tensors
    return torch.cat([first, *more], dim) if more else first


def run_modules(
    layer: nn.Module,
    hidden_states: Tensor,
    layer_kwargs: dict,
    neuron_mask: Tensor | None = None,
) -> LayerActivations:
    """Run a layer module by module, which gives exactly what the layer gives.

    Not by hooks: they would stay on modules that other visitors' runs share. neuron_mask [B, I]:
    the MLP's neurons that each row uses; the others are set to zero, not cut out of the weights:
    the same numbers, but no time is saved.
    """
    attention_input = layer.input_layernorm(hidden_states)
    attention_output, _ = layer.self_attn(attention_input, **layer_kwargs)
    hidden_states = hidden_states + attention_output
    mlp_input = layer.post_attention_layernorm(hidden_states)
    mlp = layer.mlp
    mlp_neurons = mlp.act_fn(mlp.gate_proj(mlp_input)) * mlp.up_proj(mlp_input)
    if neuron_mask is not None:
        mlp_neurons = mlp_neurons * neuron_mask[:, None]
    mlp_output = mlp.down_proj(mlp_neurons)
    return LayerActivations(
        attention_input,
        attention_output,
        mlp_input,
        mlp_output,
        mlp_neurons,
        hidden_states + mlp_output,
    )


def pack_by_length(
    items: Iterable[Item], length: Callable[[Item], int], max_length: int | None = None
) -> Iterator[list[Item]]:
    """Cut items, in their order, into packs whose lengths add up to `max_length` at most.

    A pack of tokens passes the layers as one row. None: MAX_PACKED_TOKENS.
    """
    most = MAX_PACKED_TOKENS if max_length is None else max_length
    pack, total = [], 0
    for item in items:
        if pack and total + length(item) > most:
            yield pack
            pack, total = [], 0
        pack.append(item)
        total += length(item)
    if pack:
        yield pack
