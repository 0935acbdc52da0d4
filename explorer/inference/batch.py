"""Runs that decode side by side: their caches, positions, and the queries of their new tokens.

Runs may hold different numbers of tokens, also from layer to layer: shorter caches are padded on
the left, and the padding is masked. One run alone is the same code without padding. A run's own
cache is never changed by other runs. Runs no model: decode.py passes new tokens on.
Letters: B rows, L layers, H heads, Hkv heads of keys, d their width, q new tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from explorer.inference.attention_weights import MAX_ATTENTION_ELEMENTS, causal_rows
from explorer.inference.prefill import PrefillRun
from explorer.vlm.attention import sdpa

SPARE_TOKENS = 32  # tokens by which a cache grows when it is full


class GrowingCacheLayer(DynamicLayer):
    """A layer's cache with spare room, so that a step doesn't copy all that it holds.

    keys and values [B, Hkv, S, d] are views of the first S tokens of `buffers`, two tensors
    [B, Hkv, capacity, d] of which the rest is not written yet.
    """

    buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs):
        """Add keys and values [B, Hkv, q, d]; gives all of them, [B, Hkv, S + q, d]."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = self.get_seq_length()
        total = length + key_states.shape[2]
        if self.buffers is None or total > self.buffers[0].shape[2]:
            self.buffers = tuple(
                _buffer(old, new, length, total + SPARE_TOKENS)
                for old, new in ((self.keys, key_states), (self.values, value_states))
            )
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, length:total] = new
        self.keys, self.values = (buffer[:, :, :total] for buffer in self.buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Go on with some of the rows; the spare room is given up, since they are copied."""
        super().batch_select_indices(indices)
        self.buffers = None


def _buffer(old: Tensor, like: Tensor, length: int, capacity: int) -> Tensor:
    """Make [B, heads, capacity, d] for tokens like some, and copy the `length` old ones into it."""
    rows, heads, _, width = like.shape
    buffer = like.new_empty(rows, heads, capacity, width)
    if length:
        buffer[:, :, :length] = old
    return buffer


class DecodeBatch:
    """Runs of one model side by side, each row behind its own prompt.

    key_mask [L] of [B, keys]: false where a cached key is padding; None where nothing is padded.
    key_bias [L] of [B, keys]: what is added to the logits of a cached key; None where nothing is.
    text_visual_mask [L] of [B, 3, prompt]; next_position [B, L]; neuron_mask [L] of [B, I], empty
    if every row uses all neurons. queries [L][steps] of [B, H, q, d]: those of the new tokens, from
    which their attention is summed up when their row has finished. hidden_states [L][steps] of
    [B, q, D]: what layers give of the new tokens, if that is kept. n_answer_tokens [B].
    """

    def __init__(self, runs: Sequence[PrefillRun], keep_hidden_states: bool = False):
        self.decoder = runs[0].decoder
        self.runs = list(runs)
        self.position_axes = runs[0].position_axes
        device = runs[0].logits.device
        n_layers = len(runs[0].length)
        self.cache = DynamicCache(config=self.decoder.body.config)
        self.cache.layers = [
            GrowingCacheLayer() if type(layer) is DynamicLayer else layer
            for layer in self.cache.layers
        ]
        self.key_mask: list[Tensor | None] = []
        self.key_bias: list[Tensor | None] = []
        self.text_visual_mask: list[Tensor] = []
        for layer in range(n_layers):
            self._join_layer(layer)
        self.next_position = torch.tensor([run.next_position for run in runs], device=device)
        self.queries: list[list[Tensor]] = [[] for _ in range(n_layers)]
        self.hidden_states: list[list[Tensor]] = [[] for _ in range(n_layers)]
        self.keeps_hidden_states = keep_hidden_states
        self.scaling = [1.0] * n_layers
        self.neuron_mask = join_neuron_masks(
            [[mask[None] for mask in run.neuron_mask] for run in runs], [1] * len(runs)
        )
        self.n_answer_tokens = [1] * len(runs)

    def _join_layer(self, layer: int) -> None:
        """Join one layer's caches; what was decoded before is left out, so a run can start anew."""
        lengths = [run.cached_length[layer] for run in self.runs]
        longest = max(lengths)

        def joined(name: str) -> Tensor:
            cached = [getattr(run.cache.layers[layer], name) for run in self.runs]
            if len(cached) == 1:
                return cached[0][:, :, :longest]
            _, heads, _, width = cached[0].shape
            rows = cached[0].new_zeros(len(cached), heads, longest, width)
            for row, states, n in zip(rows, cached, lengths, strict=True):
                row[:, longest - n :] = states[0, :, :n]
            return rows

        self.cache.update(joined("keys"), joined("values"), layer)
        masks = [run.text_visual_mask[layer] for run in self.runs]
        padded = [pad(mask, (longest - mask.shape[1], 0)) for mask in masks]
        self.text_visual_mask.append(torch.stack(padded))
        biases = [run.key_bias[layer] for run in self.runs]
        self.key_bias.append(_padded_bias(biases, lengths))
        if min(lengths) == longest:
            self.key_mask.append(None)
            return
        positions = torch.arange(longest, device=masks[0].device)
        first = torch.tensor([longest - n for n in lengths], device=positions.device)
        self.key_mask.append(positions[None] >= first[:, None])

    def select(self, rows: list[int]) -> None:
        """Go on with some of the rows; sum up the attention of the others."""
        finished = sorted(set(range(len(self.runs))) - set(rows))
        for part in self._memory_parts(finished):
            for row, mass in zip(part, self._attention_mass(part), strict=True):
                run = self.runs[row]
                run.n_answer_tokens = self.n_answer_tokens[row]
                run.attention_mass = run.prompt_attention_mass + mass
        if not rows or len(rows) == len(self.runs):
            return
        index = torch.tensor(rows, device=self.next_position.device)
        self.cache.batch_select_indices(torch.tensor(rows))  # layers may be on several cards
        self.key_mask = [None if mask is None else mask[index] for mask in self.key_mask]
        self.key_bias = [None if bias is None else bias[index] for bias in self.key_bias]
        self.text_visual_mask = [mask[index] for mask in self.text_visual_mask]
        self.queries = [
            [torch.cat(steps, 2)[index.to(steps[0].device)]] if steps else []
            for steps in self.queries
        ]
        self.next_position = self.next_position[index]
        self.neuron_mask = [mask[index] for mask in self.neuron_mask]
        self.runs = [self.runs[row] for row in rows]
        self.n_answer_tokens = [self.n_answer_tokens[row] for row in rows]

    def _memory_parts(self, rows: list[int]) -> Iterator[list[int]]:
        """Cut rows into parts whose attention fits into memory."""
        per_key = sum(query.shape[1] * query.shape[2] for query in self.queries[0])
        per_row = max(1, per_key * self.cache.get_seq_length())
        most = max(1, MAX_ATTENTION_ELEMENTS // per_row)
        yield from (rows[i : i + most] for i in range(0, len(rows), most))

    def _attention_mass(self, rows: list[int]) -> Tensor:
        """Sum what answers' own tokens paid to text, visual tokens and the first one, [R, L, 3]."""
        device = self.next_position.device
        index = torch.tensor(rows, device=device)
        mass = torch.zeros(len(rows), len(self.queries), 3, device=device, dtype=torch.float32)
        for layer, steps in enumerate(self.queries):
            if not steps:
                continue
            keys, key_mask = self.cache.layers[layer].keys, self.key_mask[layer]
            here = index.to(keys.device)
            query, keys = torch.cat([step[here] for step in steps], 2), keys[here]
            at = torch.arange(keys.shape[2], device=keys.device)[-query.shape[2] :]
            key_mask = None if key_mask is None else key_mask[index]
            bias = self.key_bias[layer]
            bias = None if bias is None else bias[index, None]
            attention = causal_rows(query, keys, at, self.scaling[layer], key_mask, bias)
            masks = self.text_visual_mask[layer][index]
            to_prompt = attention.mean(1).sum(1)[:, : masks.shape[2]].to(device)
            mass[:, layer] = (masks @ to_prompt[..., None])[..., 0]
        return mass

    def attend(
        self,
        attention: nn.Module,
        qkv: tuple[Tensor, Tensor, Tensor],
        scaling: float,
        recording: bool,
    ) -> Tensor:
        """Add new keys and values to one layer's cache, and let the new queries attend to all.

        qkv: queries [B, H, q, d], keys and values [B, Hkv, q, d]; gives [B, H, q, d].
        recording: the queries are kept, to be summed up once their row has finished.
        """
        query, layer = qkv[0], attention.layer_idx
        keys, values = self.cache.update(*qkv[1:], layer)
        if self.key_mask[layer] is not None:
            self.key_mask[layer] = pad(self.key_mask[layer], (0, query.shape[2]), value=True)
        if self.key_bias[layer] is not None:
            self.key_bias[layer] = pad(self.key_bias[layer], (0, query.shape[2]))
        if recording:
            self.queries[layer].append(query)
            self.scaling[layer] = scaling
        mask = self.attention_mask(layer, query, keys)
        return sdpa(attention, query, keys, values, mask, scaling)

    def attention_mask(self, layer: int, query: Tensor, keys: Tensor) -> Tensor | None:
        """Give sdpa what each new token may see and what is added to it, [B, 1, q, keys].

        None where it sees everything, as it is.
        """
        visible, bias = self._visible(layer, query, keys), self.key_bias[layer]
        if bias is None:
            return visible
        bias = bias[:, None, None].to(query)
        return bias if visible is None else torch.where(visible, bias, -torch.inf)

    def _visible(self, layer: int, query: Tensor, keys: Tensor) -> Tensor | None:
        """Tell which keys each new token may see, [B, 1, q, keys]; None for all of them."""
        key_mask, q = self.key_mask[layer], query.shape[2]
        if key_mask is not None:
            key_mask = key_mask[:, None, None].to(query.device)
        if q == 1:
            return key_mask
        # sdpa must not guess: every cached key is visible, the new ones are causal
        ones = torch.ones(q, keys.shape[2], dtype=torch.bool, device=query.device)
        causal = ones.tril(keys.shape[2] - q)[None, None]
        return causal if key_mask is None else causal & key_mask

    def record_hidden_states(self, layer: int, hidden_states: Tensor) -> None:
        """Keep what a layer gives of the new tokens, [B, q, D], if that is asked for."""
        if self.keeps_hidden_states:
            self.hidden_states[layer].append(hidden_states)

    def rewind(self, count: int) -> None:
        """Forget the last `count` tokens that were passed: no answer goes on from them."""
        for cached in self.cache.layers:
            cached.crop(-count)
        self.key_mask = [None if mask is None else mask[:, :-count] for mask in self.key_mask]
        self.key_bias = [None if bias is None else bias[:, :-count] for bias in self.key_bias]
        self.next_position = self.next_position - count

    def advance(self, count: int, recording: bool) -> None:
        """Note that `count` tokens of every row have passed all layers."""
        self.next_position = self.next_position + count
        if recording:
            self.n_answer_tokens = [n + count for n in self.n_answer_tokens]


def _padded_bias(biases: list[Tensor | None], lengths: list[int]) -> Tensor | None:
    """Join what is added to one layer's keys, [B, keys], padded on the left; None if nothing is."""
    like = next((bias for bias in biases if bias is not None), None)
    if like is None:
        return None
    rows = like.new_zeros(len(biases), max(lengths))
    for row, bias in zip(rows, biases, strict=True):
        if bias is not None:
            row[len(row) - len(bias) :] = bias
    return rows


def join_neuron_masks(masks: Sequence[list[Tensor]], n_rows: Sequence[int]) -> list[Tensor]:
    """Join the neurons that every row may use in each layer, [L][B, I]; empty if all use all.

    masks: of each batch, [L][rows, I], empty where its rows use all neurons; n_rows of each batch.
    """
    some = next((layers for layers in masks if layers), [])
    return [
        torch.cat(
            [
                layers[index] if layers else like.new_ones(rows, like.shape[1])
                for layers, rows in zip(masks, n_rows, strict=True)
            ]
        )
        for index, like in enumerate(some)
    ]
