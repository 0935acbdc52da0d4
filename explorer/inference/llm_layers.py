"""What a method may look at inside the language model: rows, keys, changes, neurons.

A `Watch` goes along with one prefill and notes, of every layer that runs, only what the plan's
needs name; at a stage it turns this into `Signals` of the tokens that are alive there. Everything
is in float32 and local to the call. Knows Llama-like decoder layers; does not know methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from transformers import Cache

from explorer.inference.attention_weights import causal_rows, queries_and_keys
from explorer.inference.sequence import Prompt, Sequence
from explorer.methods.signals import Neurons, Signals, Transition
from explorer.vlm.attention import packed_sequences, record_attention

OF_LAST_LAYER = frozenset(
    {"last_attention", "tail_attention", "visual_to_tail", "key_norms", "tail_key_norms"}
)
OF_NEXT_LAYER = frozenset(
    {"next_last_attention", "next_tail_attention", "visual_attention", "visual_keys"}
)
OF_MODULES = frozenset({"transitions", "neurons"})
QkCallback = Callable[[list["ForwardState"], Tensor, Tensor, float], None]
"""Is told whose queries [1, H, S, d] and keys [1, Hkv, S, d] these are, and their scaling."""
MAX_QUERY_ROWS = 512  # rows of attention: those of thousands of tokens and all heads take gigabytes


class LayerActivations(NamedTuple):
    """What the modules of one layer said, [1, S, D] each, values [1, S, I]; x goes on."""

    read: Tensor
    given: Tensor
    looked: Tensor
    answered: Tensor
    values: Tensor
    x: Tensor


class SignalRecorder:
    """The notes of one prefill."""

    def __init__(self, needs: frozenset[str], prompt: Prompt):
        self.needs = needs
        self.prompt = prompt
        self.in_parts = bool(needs & OF_MODULES)
        self.query = self.key = self.values = None
        self.scaling = 1.0
        self.transitions: list[Transition] = []

    def hear(self, query: Tensor, key: Tensor, scaling: float) -> None:
        """Remember queries [1, H, S, d] and keys [1, Hkv, S, d] of the layer that is running."""
        if self.needs & OF_LAST_LAYER:
            place = self.prompt.embeds.device  # the layer may be on another card
            self.query, self.key = query[0].to(place), key[0].to(place)
            self.scaling = scaling

    def note(self, said: LayerActivations, sequence: Sequence) -> None:
        """Remember what the modules of the layer that has just run said of a sequence's tokens."""
        if "neurons" in self.needs:
            self.values = said.values[0].float()
        if "transitions" in self.needs:
            pairs = [(said.read, said.given), (said.looked, said.answered)]
            pairs = [(before[0].float(), after[0].float()) for before, after in pairs]
            norms = [(a.norm(dim=-1), b.norm(dim=-1)) for a, b in pairs]
            self.transitions.append(
                Transition(
                    ratio=torch.stack([b / a.clamp(min=1e-12) for a, b in norms]),
                    cosine=torch.stack([nn.functional.cosine_similarity(a, b) for a, b in pairs]),
                    visual=sequence.visual,
                )
            )

    def dropped(self, index: Tensor, lead: int, trail: int) -> None:
        """Follow the visual tokens that stay; -1 stands for merged tokens, which have no past."""
        before, behind = index.new_full((lead,), -1), index.new_full((trail,), -1)
        self.transitions = [
            replace(old, visual=torch.cat([before, old.visual[index], behind]))
            for old in self.transitions
        ]

    def signals(self, sequence: Sequence, body: nn.Module, layer: int) -> Signals:
        """Look at the tokens that are about to enter a decoder layer."""
        needs, visual, x = self.needs, sequence.visual, sequence.x
        # not from the last visual token that is left: marks may stand between those of the picture
        behind = self.prompt.embeds.shape[1] - 1 - int(self.prompt.visual[-1])
        tail = torch.arange(x.shape[1] - behind, x.shape[1], device=x.device)
        found: dict[str, object] = {}
        if needs & OF_LAST_LAYER:
            found |= self._of_last_layer(visual, tail)
        if needs & OF_NEXT_LAYER:
            found |= self._of_next_layer(sequence, body, layer, tail)
        if needs & {"normed", "tail_normed"}:
            normed = body.norm(x)[0].float()
            found |= {"normed": normed[visual], "tail_normed": normed[tail]}
        if needs & {"rotated_ones", "tail_rotated_ones"}:
            ones = _rotated_ones(*sequence.rotary(body))
            found |= {"rotated_ones": ones[visual], "tail_rotated_ones": ones[tail]}
        if needs & {"tail", "inputs"}:
            embeds, last = self.prompt.embeds[0].float(), int(self.prompt.visual[-1])
            found |= {"tail": embeds[last + 1 :], "inputs": embeds[self.prompt.visual]}
        if "transitions" in needs:
            found["transitions"] = tuple(self.transitions)
        if "neurons" in needs:
            found["neurons"] = self.neurons(sequence)
        found["n_leading_tokens"] = int(visual[0])
        named = {name: value for name, value in found.items() if name in needs}
        return Signals(grid_position=sequence.grid_position, features=x[0, visual].float(), **named)

    def neurons(self, sequence: Sequence) -> Neurons:
        """Tell what the layer that ran last has activated."""
        asking = sequence.x.shape[1] - self.prompt.header
        return Neurons(self.values, sequence.visual, asking)

    def _of_last_layer(self, visual: Tensor, tail: Tensor) -> dict[str, object]:
        needs, found = self.needs, {}

        def rows(at: Tensor) -> Tensor:
            return causal_rows(self.query[:, at], self.key, at, self.scaling)

        if "last_attention" in needs:
            newest = visual.new_tensor([self.query.shape[1] - 1])
            found["last_attention"] = rows(newest)[:, 0, visual]
        if "tail_attention" in needs:
            found["tail_attention"] = rows(tail)[:, :, visual]
        if "visual_to_tail" in needs:
            parts = [rows(at)[:, :, tail].mean(0).sum(-1) for at in visual.split(MAX_QUERY_ROWS)]
            found["visual_to_tail"] = torch.cat(parts)
        if needs & {"key_norms", "tail_key_norms"}:
            # Grouped heads: each key head counts as often as it is used, as if it were repeated.
            times = self.query.shape[0] // self.key.shape[0]
            norms = self.key.float().abs().sum((0, 2)) * times
            found |= {"key_norms": norms[visual], "tail_key_norms": norms[tail]}
        return found

    def _of_next_layer(
        self, sequence: Sequence, body: nn.Module, layer: int, tail: Tensor
    ) -> dict[str, object]:
        needs, visual, found = self.needs, sequence.visual, {}
        asked = []
        if "visual_attention" in needs:
            asked.append(visual)
        if needs & {"next_last_attention", "next_tail_attention"}:
            asked.append(tail)
        at = torch.cat(asked) if asked else tail[-1:]
        query, key = queries_and_keys(body.layers[layer], sequence.x, sequence.rotary(body), at)
        if "visual_keys" in needs:
            # Grouped heads: each key head counts as often as it is used, so the mean is the same.
            found["visual_keys"] = key[:, visual].float().mean(0)
        if asked:
            scaling = body.layers[layer].self_attn.scaling

            def rows(some: Tensor) -> Tensor:
                return causal_rows(query[:, some], key, at[some], scaling)[..., visual]

            number = torch.arange(len(at), device=at.device)
            if "visual_attention" in needs:
                parts = number[: len(visual)].split(MAX_QUERY_ROWS)
                found["visual_attention"] = torch.cat([rows(some).mean(0) for some in parts])
            if needs & {"next_last_attention", "next_tail_attention"}:
                behind = rows(number[len(number) - len(tail) :])
                found["next_last_attention"] = behind[:, -1]
                found["next_tail_attention"] = behind
        return found


@dataclass
class ForwardState:
    """One prompt on its way through the layers: its tokens and the notes about them.

    cache: takes its keys and values, if they are wanted later on.
    """

    sequence: Sequence
    watch: SignalRecorder
    cache: Cache | None = None

    @property
    def length(self) -> int:
        """How many tokens are on their way."""
        return self.sequence.x.shape[1]


class _Shared:
    """What a layer takes for a cache, and hands every walk of a pack its own part."""

    def __init__(self, walks: list[ForwardState]):
        self.walks = walks

    def update(self, keys: Tensor, values: Tensor, layer: int, **_) -> tuple[Tensor, Tensor]:
        lengths = [walk.length for walk in self.walks]
        parts = zip(self.walks, keys.split(lengths, 2), values.split(lengths, 2), strict=True)
        for walk, own_keys, own_values in parts:
            walk.cache.update(own_keys, own_values, layer)
        return keys, values


def run_layer(
    layer: nn.Module,
    walks: list[ForwardState],
    body: nn.Module,
    hear: QkCallback | None,
    noting: bool = True,
) -> None:
    """Let one or several walks pass a decoder layer, as one row of tokens: none sees another.

    noting: whether the layer's modules are looked into. All walks have a cache, or none has.
    """
    lengths = [walk.length for walk in walks]
    turns = zip(*(walk.sequence.rotary(body) for walk in walks), strict=True)
    x = _joined([walk.sequence.x for walk in walks], 1)
    alone, cached = len(walks) == 1, walks[0].cache is not None
    how = {
        "attention_mask": None,
        "position_embeddings": tuple(_joined(turn, -2) for turn in turns),
        "cache": walks[0].cache if alone or not cached else _Shared(walks),
        "use_cache": cached,
    }
    own = layer.self_attn
    listeners = {own: lambda *heard: hear(walks, *heard)} if hear else {}
    with record_attention(listeners), packed_sequences([] if alone else lengths):
        if noting and any(walk.watch.in_parts for walk in walks):
            said = _in_parts(layer, x, how)
            x = said.x
            split = (states.split(lengths, 1) for states in said)
            for walk, *parts in zip(walks, *split, strict=True):
                walk.watch.note(LayerActivations(*parts), walk.sequence)
        else:
            x = layer(x, **how)
    for walk, states in zip(walks, x.split(lengths, 1), strict=True):
        walk.sequence.x = states
        walk.sequence.deepen(own.layer_idx)


def record_qk(walks: list[ForwardState], query: Tensor, key: Tensor, scaling: float) -> None:
    """Let every walk of a pack take notes of its own queries and keys."""
    lengths = [walk.length for walk in walks]
    parts = zip(walks, query.split(lengths, 2), key.split(lengths, 2), strict=True)
    for walk, own_query, own_key in parts:
        walk.watch.hear(own_query, own_key, scaling)


def _joined(rows: Iterable[Tensor], dim: int) -> Tensor:
    first, *more = rows
    return torch.cat([first, *more], dim) if more else first


def _in_parts(layer: nn.Module, x: Tensor, how: dict) -> LayerActivations:
    """Run a layer module by module, which gives exactly what the layer gives.

    Not by hooks: they would stay on modules that other visitors' runs share.
    """
    read = layer.input_layernorm(x)
    given, _ = layer.self_attn(read, **how)
    x = x + given
    looked = layer.post_attention_layernorm(x)
    mlp = layer.mlp
    values = mlp.act_fn(mlp.gate_proj(looked)) * mlp.up_proj(looked)
    answered = mlp.down_proj(values)
    return LayerActivations(read, given, looked, answered, values, x + answered)


def _rotated_ones(cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the vector of ones by every position's rotary embedding: [S, d]."""
    half = cos.shape[-1] // 2
    signs = sin.new_ones(2 * half)
    signs[:half] = -1
    return (cos + signs * sin)[0].float()


Item = TypeVar("Item")

MAX_PACKED_TOKENS = 1000  # tokens that pass a layer as one row; more don't make it faster


def pack_by_length(
    items: Iterable[Item], length: Callable[[Item], int], most: int = MAX_PACKED_TOKENS
) -> Iterator[list[Item]]:
    """Cut items, in their order, into those that pass the layers as one row of tokens."""
    pack, held = [], 0
    for item in items:
        if pack and held + length(item) > most:
            yield pack
            pack, held = [], 0
        pack.append(item)
        held += length(item)
    if pack:
        yield pack
