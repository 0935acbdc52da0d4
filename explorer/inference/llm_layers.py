"""Pass one or several prompts through one decoder layer, as one row of tokens.

Prompts stand one behind the other, and none sees another; see `packed_sequences`. Those that are
still one and the same prompt pass once: what a method drops inside the language model, its first
layers see. What methods may look at is recorded on the way. Knows Llama-like decoder layers; not
stages, methods or answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from transformers import Cache

from explorer.inference.layer_signals import OF_MODULES, LayerActivations, SignalRecorder
from explorer.inference.sequence import Sequence
from explorer.methods.observed import Transition
from explorer.vlm.attention import packed_sequences, record_attention

Shared = list["ForwardState"]
"""States whose tokens are one and the same tensor."""
QkCallback = Callable[[list[Shared], Tensor, Tensor, float], None]
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


@dataclass(frozen=True)
class LayerTrace:
    """What one layer did with a prompt of S tokens, n of them visual, for who looks inside.

    attention [H, S]: of the last token, float32; hidden [D]: what the layer gives of it; norms [n]:
    lengths of what it gives of the visual tokens, whose `Sequence.token_id` are token_id [n].
    transition: how its modules changed the tokens, where the plan needs "transitions".
    text_visual_mask [3, S] and position_ids [1, S] or [3, 1, S]: as in `Sequence`.
    """

    attention: Tensor
    hidden: Tensor
    norms: Tensor
    token_id: Tensor
    text_visual_mask: Tensor
    position_ids: Tensor
    transition: Transition | None = None


def shared(states: Iterable[ForwardState]) -> list[Shared]:
    """Put states together that have the same tokens at the same positions, in their order.

    They began as one prompt, and none of them has parted with a token yet.
    """
    groups: dict[tuple[int, int], Shared] = {}
    for state in states:
        same = id(state.sequence.hidden_states), id(state.sequence.position_ids)
        groups.setdefault(same, []).append(state)
    return list(groups.values())


def _lengths(groups: list[Shared]) -> list[int]:
    return [group[0].length for group in groups]


class _SplitCache:
    """What a layer takes for a cache: gives every prompt of a pack its own keys and values."""

    def __init__(self, groups: list[Shared]):
        self.groups = groups

    def update(self, keys: Tensor, values: Tensor, layer: int, **_) -> tuple[Tensor, Tensor]:
        lengths = _lengths(self.groups)
        parts = zip(self.groups, keys.split(lengths, 2), values.split(lengths, 2), strict=True)
        for group, own_keys, own_values in parts:
            for state in group:
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
    groups = shared(states)
    lengths, first = _lengths(groups), [group[0].sequence for group in groups]
    hidden_states = _concatenated([sequence.hidden_states for sequence in first], 1)
    cos_sin = zip(*(sequence.position_embeddings(body) for sequence in first), strict=True)
    masks = [sequence.attention_mask(layer.self_attn.layer_idx) for sequence in first]
    alone, cached = len(groups) == 1, states[0].cache is not None
    layer_kwargs = {
        "attention_mask": masks[0] if alone else None,
        "position_embeddings": tuple(_concatenated(parts, -2) for parts in cos_sin),
        "cache": _SplitCache(groups) if cached and len(states) > 1 else states[0].cache,
        "use_cache": cached,
    }
    for state in states:
        state.recorder.record_input(state.sequence.hidden_states)
    attention = layer.self_attn
    listeners = {attention: lambda *qk: on_qk(groups, *qk)} if on_qk else {}
    packed = [] if alone else list(zip(lengths, masks, strict=True))
    with record_attention(listeners), packed_sequences(packed):
        if record_modules and any(state.recorder.needs & OF_MODULES for state in states):
            activations = run_modules(layer, hidden_states, layer_kwargs)
            hidden_states = activations.hidden_states
            split = (tensor.split(lengths, 1) for tensor in activations)
            for group, *parts in zip(groups, *split, strict=True):
                for state in group:
                    state.recorder.record_modules(LayerActivations(*parts), state.sequence)
        else:
            hidden_states = layer(hidden_states, **layer_kwargs)
    for group, own_states in zip(groups, hidden_states.split(lengths, 1), strict=True):
        group[0].sequence.hidden_states = own_states
        group[0].sequence.add_deepstack(attention.layer_idx)
        for state in group[1:]:
            state.sequence.hidden_states = group[0].sequence.hidden_states


def record_qk(groups: list[Shared], query: Tensor, key: Tensor, scaling: float) -> None:
    """Give every recorder of a pack its own queries and keys."""
    lengths = _lengths(groups)
    parts = zip(groups, query.split(lengths, 2), key.split(lengths, 2), strict=True)
    for group, own_query, own_key in parts:
        for state in group:
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
