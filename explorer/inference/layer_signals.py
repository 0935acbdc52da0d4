"""What a method may look at inside the language model: attention, keys, changes, neurons.

A `SignalRecorder` goes along with one prefill and records, of every layer that runs, only what the
plan's needs name; at a stage it turns this into `Signals` of the tokens that are alive there.
Everything is in float32 and local to the call. Knows Llama-like decoder layers; not methods.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from explorer.inference.attention_weights import (
    causal_rows,
    pagerank,
    queries_and_keys,
    values_of,
    without_positions,
)
from explorer.inference.sequence import Prompt, Sequence
from explorer.methods.observed import Neurons, Transition
from explorer.methods.signals import Kept, Signals

OF_LAST_LAYER = frozenset(
    {
        "last_attention",
        "unrotated_attention",
        "tail_attention",
        "visual_received",
        "pagerank",
        "visual_to_tail",
        "key_norms",
        "tail_key_norms",
    }
)
OF_NEXT_LAYER = frozenset(
    {
        "next_last_attention",
        "next_tail_attention",
        "visual_attention",
        "visual_keys",
        "global_attention",
        "joined_keys",
    }
)
OF_VALUES = frozenset({"values", "tail_values", "other_values"})
OF_TOWER = frozenset({"last_cls_attention", "patch_attention"})  # known inside as before
OF_MODULES = frozenset({"transitions", "neurons"})
MAX_QUERY_ROWS = 512  # rows of attention: those of thousands of tokens and all heads take gigabytes


class LayerActivations(NamedTuple):
    """What the modules of one decoder layer read and gave, [B, S, D] each.

    Inputs are taken after the norm, outputs before the residual sum. mlp_neurons [B, S, I]: the
    input of the MLP's down projection. hidden_states: what the layer gives.
    """

    attention_input: Tensor
    attention_output: Tensor
    mlp_input: Tensor
    mlp_output: Tensor
    mlp_neurons: Tensor
    hidden_states: Tensor


class SignalRecorder:
    """What one prefill has recorded so far, for the stages to come."""

    def __init__(self, needs: frozenset[str], prompt: Prompt):
        self.needs = needs
        self.prompt = prompt
        self.query = self.key = self.mlp_neurons = self.layer_input = None
        self.scaling = 1.0
        self.transitions: list[Transition] = []

    def record_input(self, hidden_states: Tensor) -> None:
        """Keep what the layer reads that is about to run, [1, S, D]."""
        if self.needs & OF_VALUES:
            self.layer_input = hidden_states

    def record_qk(self, query: Tensor, key: Tensor, scaling: float) -> None:
        """Keep queries [1, H, S, d] and keys [1, Hkv, S, d] of the layer that is running."""
        if self.needs & OF_LAST_LAYER:
            device = self.prompt.inputs_embeds.device  # the layer may be on another card
            self.query, self.key = query[0].to(device), key[0].to(device)
            self.scaling = scaling

    def record_modules(self, activations: LayerActivations, sequence: Sequence) -> None:
        """Keep what the modules of the layer that has just run did to a sequence's tokens."""
        if "neurons" in self.needs:
            self.mlp_neurons = activations.mlp_neurons[0].float()
        if "transitions" in self.needs:
            pairs = [
                (activations.attention_input, activations.attention_output),
                (activations.mlp_input, activations.mlp_output),
            ]
            pairs = [(x[0].float(), y[0].float()) for x, y in pairs]
            norms = [(x.norm(dim=-1), y.norm(dim=-1)) for x, y in pairs]
            self.transitions.append(
                Transition(
                    ratio=torch.stack([y / x.clamp(min=1e-12) for x, y in norms]),
                    cosine=torch.stack([nn.functional.cosine_similarity(x, y) for x, y in pairs]),
                    visual=sequence.visual_positions,
                )
            )

    def follow(self, kept: Kept) -> None:
        """Keep pointing at the visual tokens that stay; -1 for merged ones, which have no past."""
        own, merged = kept.slots()
        order = torch.cat([own, merged]).argsort()
        without = merged.new_full((len(merged),), -1)
        self.transitions = [
            replace(old, visual=torch.cat([old.visual[kept.index], without])[order])
            for old in self.transitions
        ]

    def signals(self, sequence: Sequence, body: nn.Module, layer: int) -> Signals:
        """Give the signals of the tokens that are about to enter a decoder layer."""
        needs, visual, hidden_states = self.needs, sequence.visual_positions, sequence.hidden_states
        tail = self._tail(hidden_states.shape[1])
        signals: dict[str, object] = {"n_leading_tokens": int(visual[0])}
        if needs & OF_LAST_LAYER:
            signals |= self._of_last_layer(sequence, body, layer - 1, tail)
        if needs & OF_NEXT_LAYER:
            signals |= self._of_next_layer(sequence, body, layer, tail)
        if needs & OF_VALUES:
            signals |= self._values(visual, tail, body.layers[layer - 1])
        if "rotary" in needs:
            position_ids = sequence.position_ids[..., 0, visual]
            signals["rotary"] = mean_rotation(position_ids, body.rotary_emb.inv_freq)
        if needs & {"normed", "tail_normed"}:
            normed = body.norm(hidden_states)[0].float()
            signals |= {"normed": normed[visual], "tail_normed": normed[tail]}
        if needs & {"rotated_ones", "tail_rotated_ones"}:
            ones = _rotated_ones(*sequence.position_embeddings(body))
            signals |= {"rotated_ones": ones[visual], "tail_rotated_ones": ones[tail]}
        if needs & {"tail", "inputs"}:
            inputs_embeds = self.prompt.inputs_embeds[0].float()
            before_pruning = self.prompt.visual_positions
            signals["tail"] = inputs_embeds[int(before_pruning[-1]) + 1 :]
            signals["inputs"] = inputs_embeds[before_pruning]
        if needs & OF_TOWER:
            signals |= {name: getattr(self.prompt.signals, name) for name in OF_TOWER}
        if "transitions" in needs:
            signals["transitions"] = tuple(self.transitions)
        if "neurons" in needs:
            signals["neurons"] = self.neurons(sequence)
        named = {name: value for name, value in signals.items() if name in needs}
        return Signals(
            grid_position=sequence.grid_position,
            features=hidden_states[0, visual].float(),
            patches=self._patches(sequence),
            **named,
        )

    def _patches(self, sequence: Sequence) -> Tensor | None:
        """Give the patches [N, P] of the tokens that are alive; -1 for merged ones."""
        known = self.prompt.signals.patches
        if known is None:
            return None
        return known[sequence.source_index].masked_fill(sequence.source_index[:, None] < 0, -1)

    def neurons(self, sequence: Sequence) -> Neurons:
        """Give what the FFN of the layer that ran last has activated."""
        asking = sequence.hidden_states.shape[1] - self.prompt.n_response_header
        return Neurons(self.mlp_neurons, sequence.visual_positions, asking)

    def _tail(self, length: int) -> Tensor:
        """Give the indices [T] of the tokens behind the picture's, in a sequence of that length.

        Not from the last visual token that is left: marks may stand between those of the picture.
        """
        behind = self.prompt.inputs_embeds.shape[1] - 1 - int(self.prompt.visual_positions[-1])
        return torch.arange(length - behind, length, device=self.prompt.inputs_embeds.device)

    def _values(self, visual: Tensor, tail: Tensor, layer: nn.Module) -> dict[str, object]:
        """Project the values of the layer that has just run: of the picture, the tail, the rest."""
        values = values_of(layer, self.layer_input)[0].float().to(visual.device)
        others = torch.ones(values.shape[1], dtype=torch.bool, device=visual.device)
        others[visual] = others[tail] = False
        return {
            "values": values[:, visual],
            "tail_values": values[:, tail],
            "other_values": values[:, others],
        }

    def _of_last_layer(
        self, sequence: Sequence, body: nn.Module, layer: int, tail: Tensor
    ) -> dict[str, object]:
        """Give signals from the queries and keys of the layer that has just run."""
        needs, visual, signals = self.needs, sequence.visual_positions, {}

        def rows(at: Tensor) -> Tensor:
            bias = sequence.attention_bias_of(layer, at)
            return causal_rows(self.query[:, at], self.key, at, self.scaling, bias=bias)

        if "last_attention" in needs:
            last = visual.new_tensor([self.query.shape[1] - 1])
            signals["last_attention"] = rows(last)[:, 0, visual]
        if "unrotated_attention" in needs:
            signals["unrotated_attention"] = self._unrotated(visual, sequence, body)
        if "tail_attention" in needs:
            signals["tail_attention"] = rows(tail)[:, :, visual]
        if "visual_received" in needs:
            parts = [rows(at)[:, :, visual].amax(0).sum(0) for at in visual.split(MAX_QUERY_ROWS)]
            signals["visual_received"] = torch.stack(parts).sum(0)
        if "pagerank" in needs:
            bias = sequence.attention_bias_of(layer, torch.arange(self.query.shape[1]))
            signals["pagerank"] = pagerank(self.query, self.key, self.scaling, bias)[visual]
        if "visual_to_tail" in needs:
            parts = [rows(at)[:, :, tail].mean(0).sum(-1) for at in visual.split(MAX_QUERY_ROWS)]
            signals["visual_to_tail"] = torch.cat(parts)
        if needs & {"key_norms", "tail_key_norms"}:
            # Grouped heads: each key head counts as often as it is used, as if it were repeated.
            times = self.query.shape[0] // self.key.shape[0]
            norms = self.key.float().abs().sum((0, 2)) * times
            signals |= {"key_norms": norms[visual], "tail_key_norms": norms[tail]}
        return signals

    def _unrotated(self, visual: Tensor, sequence: Sequence, body: nn.Module) -> Tensor:
        """Give the last token's attention to the visual ones alone, without positions, [H, N]."""
        cos, sin = sequence.position_embeddings(body)
        query = without_positions(self.query[:, -1:], (cos[:, -1:], sin[:, -1:]))
        key = without_positions(self.key[:, visual], (cos[:, visual], sin[:, visual]))
        at_the_end = visual.new_tensor([len(visual) - 1])  # the query may look at all of them
        return causal_rows(query, key, at_the_end, self.scaling)[:, 0]

    def _of_next_layer(
        self, sequence: Sequence, body: nn.Module, layer: int, tail: Tensor
    ) -> dict[str, object]:
        """Give signals from the queries and keys of a layer that has not run yet."""
        needs, visual, signals = self.needs, sequence.visual_positions, {}
        needs_tail = bool(needs & {"next_last_attention", "next_tail_attention"})
        asked = [visual] if "visual_attention" in needs else []
        asked += [tail] if needs_tail else []
        at = torch.cat(asked) if asked else tail[-1:]
        position_embeddings = sequence.position_embeddings(body)
        query, key = queries_and_keys(
            body.layers[layer], sequence.hidden_states, position_embeddings, at
        )
        scaling = body.layers[layer].self_attn.scaling

        def rows(some: Tensor) -> Tensor:
            bias = sequence.attention_bias_of(layer, at[some])
            return causal_rows(query[:, some], key, at[some], scaling, bias=bias)[..., visual]

        number = torch.arange(len(at), device=at.device)
        if "visual_keys" in needs:
            # Grouped heads: each key head counts as often as it is used, so the mean is the same.
            signals["visual_keys"] = key[:, visual].float().mean(0)
        if "joined_keys" in needs:
            signals["joined_keys"] = key[:, visual].float().transpose(0, 1).flatten(1)
        if "global_attention" in needs:
            signals["global_attention"] = self._global_attention(sequence, body, layer)
        if "visual_attention" in needs:
            parts = number[: len(visual)].split(MAX_QUERY_ROWS)
            signals["visual_attention"] = torch.cat([rows(some).mean(0) for some in parts])
        if needs_tail:
            tail_rows = rows(number[len(number) - len(tail) :])
            signals["next_last_attention"] = tail_rows[:, -1]
            signals["next_tail_attention"] = tail_rows
        return signals

    def _global_attention(self, sequence: Sequence, body: nn.Module, layer: int) -> Tensor:
        """Let the mean query of all tokens up to the last visual one look at the visual ones.

        Without positions; softmaxed over all those tokens, [H, N].
        """
        end = int(sequence.visual_positions[-1]) + 1
        cos, sin = sequence.position_embeddings(body)
        cos_sin, module = (cos[:, :end], sin[:, :end]), body.layers[layer]
        every = torch.arange(end, device=cos.device)
        heads = queries_and_keys(module, sequence.hidden_states[:, :end], cos_sin, every)
        query, key = (without_positions(states, cos_sin) for states in heads)
        asked = query.mean(1).unflatten(0, (len(key), -1))  # [Hkv, heads of a group, d]
        logits = (asked @ key.transpose(1, 2)).flatten(0, 1) * module.self_attn.scaling
        return logits.softmax(-1)[:, sequence.visual_positions]


def mean_rotation(position_ids: Tensor, frequencies: Tensor) -> Tensor:
    """Give the mean cosine and sine of every position's rotary angles, [N, 2].

    position_ids [N], or [3, N] by time, row and column: then over all axes, whole, not in sections.
    """
    axes = position_ids.reshape(-1, position_ids.shape[-1], 1)
    angles = axes.float() * frequencies.to(position_ids.device).float()
    return torch.stack([angles.cos().mean((0, 2)), angles.sin().mean((0, 2))], 1)


def _rotated_ones(cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the vector of ones by every position's rotary embedding: [S, d]."""
    half = cos.shape[-1] // 2
    signs = sin.new_ones(2 * half)
    signs[:half] = -1
    return (cos + signs * sin)[0].float()
