"""Runs that answer side by side, and what they have said so far: caches, positions, queries.

Runs may hold different numbers of tokens, also from layer to layer: shorter caches are padded on
the left, and the padding is masked. One run alone is the same code without padding. A run's own
cache is never changed by other runs. Runs no model: decode.py passes new tokens on.
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
    """A layer's cache with room for more tokens, so that a step doesn't copy all that it holds."""

    room: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs):
        """Add keys and values; gives all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        held = self.get_seq_length()
        total = held + key_states.shape[2]
        if self.room is None or total > self.room[0].shape[2]:
            self.room = tuple(
                _growing(old, new, held, total + SPARE_TOKENS)
                for old, new in ((self.keys, key_states), (self.values, value_states))
            )
        for room, new in zip(self.room, (key_states, value_states), strict=True):
            room[:, :, held:total] = new
        self.keys, self.values = (room[:, :, :total] for room in self.room)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Go on with some of the rows."""
        super().batch_select_indices(indices)
        self.room = None


def _growing(old: Tensor, like: Tensor, held: int, capacity: int) -> Tensor:
    """Make a tensor for `capacity` tokens, and put what is held into it."""
    rows, heads, _, width = like.shape
    room = like.new_empty(rows, heads, capacity, width)
    if held:
        room[:, :, :held] = old
    return room


class DecodeBatch:
    """Runs of one model side by side, each row behind its own prompt."""

    def __init__(self, runs: Sequence[PrefillRun]):
        self.decoder = runs[0].decoder
        self.runs = list(runs)
        self.axes = runs[0].axes
        device = runs[0].logits.device
        layers = range(len(runs[0].length))
        self.cache = DynamicCache(config=self.decoder.body.config)
        self.cache.layers = [
            GrowingCacheLayer() if type(layer) is DynamicLayer else layer
            for layer in self.cache.layers
        ]
        self.seen: list[Tensor | None] = []  # [B, keys] of each layer; None: nothing is padded
        self.counted: list[Tensor] = []  # [B, 2, prompt] of each layer
        for layer in layers:
            self._join(layer)
        # [B, L] positions of the next token
        self.starts = torch.tensor([run.starts for run in runs], device=device)
        # [L] of [B, H, q, d]: what the new tokens asked, to be summed up when a row has ended
        self.asked: list[list[Tensor]] = [[] for _ in layers]
        self.scaling = [1.0] * len(layers)
        self.cores = _neuron_masks(runs)
        self.answered = [1] * len(runs)

    def _join(self, layer: int) -> None:
        """Join one layer's caches; what was decoded before is left out, so a run can start anew."""
        lengths = [run.length[layer] for run in self.runs]
        longest = max(lengths)

        def joined(name: str) -> Tensor:
            held = [getattr(run.cache.layers[layer], name) for run in self.runs]
            if len(held) == 1:
                return held[0][:, :, :longest]
            _, heads, _, width = held[0].shape
            rows = held[0].new_zeros(len(held), heads, longest, width)
            for row, states, n in zip(rows, held, lengths, strict=True):
                row[:, longest - n :] = states[0, :, :n]
            return rows

        self.cache.update(joined("keys"), joined("values"), layer)
        counted = [run.counted[layer] for run in self.runs]
        self.counted.append(torch.stack([pad(c, (longest - c.shape[1], 0)) for c in counted]))
        if min(lengths) == longest:
            self.seen.append(None)
            return
        places = torch.arange(longest, device=counted[0].device)
        first = torch.tensor([longest - n for n in lengths], device=places.device)
        self.seen.append(places[None] >= first[:, None])

    def select(self, rows: list[int]) -> None:
        """Go on with some of the rows; the others have their last word."""
        ended = sorted(set(range(len(self.runs))) - set(rows))
        for some in self._parts(ended):
            for row, heard in zip(some, self._listened(some), strict=True):
                self.runs[row].answered = self.answered[row]
                self.runs[row].mass = self.runs[row].heard + heard
        if not rows or len(rows) == len(self.runs):
            return
        index = torch.tensor(rows, device=self.starts.device)
        self.cache.batch_select_indices(torch.tensor(rows))  # layers may be on several cards
        self.seen = [None if seen is None else seen[index] for seen in self.seen]
        self.counted = [counted[index] for counted in self.counted]
        self.asked = [[torch.cat(q, 2)[index.to(q[0].device)]] if q else [] for q in self.asked]
        self.starts = self.starts[index]
        self.cores = [core[index] for core in self.cores]
        self.runs = [self.runs[row] for row in rows]
        self.answered = [self.answered[row] for row in rows]

    def _parts(self, rows: list[int]) -> Iterator[list[int]]:
        """Cut rows into parts whose attention fits into memory."""
        asked = sum(query.shape[1] * query.shape[2] for query in self.asked[0])
        most = max(1, MAX_ATTENTION_ELEMENTS // max(1, asked * self.cache.get_seq_length()))
        yield from (rows[i : i + most] for i in range(0, len(rows), most))

    def _listened(self, rows: list[int]) -> Tensor:
        """Sum the attention that rows' own words paid to text and to visual tokens, [R, L, 2]."""
        place = self.starts.device
        index = torch.tensor(rows, device=place)
        heard = torch.zeros(len(rows), len(self.asked), 2, device=place, dtype=torch.float32)
        for layer, asked in enumerate(self.asked):
            if not asked:
                continue
            keys, seen = self.cache.layers[layer].keys, self.seen[layer]
            here = index.to(keys.device)
            query, keys = torch.cat([query[here] for query in asked], 2), keys[here]
            newest = torch.arange(keys.shape[2], device=keys.device)[-query.shape[2] :]
            seen = None if seen is None else seen[index]
            shown = causal_rows(query, keys, newest, self.scaling[layer], seen)
            counted = self.counted[layer][index]
            to_prompt = shown.mean(1).sum(1)[:, : counted.shape[2]].to(place)
            heard[:, layer] = (counted @ to_prompt[..., None])[..., 0]
        return heard

    def attend(
        self,
        attention: nn.Module,
        states: tuple[Tensor, Tensor, Tensor],
        scaling: float,
        listening: bool,
    ) -> Tensor:
        """Add new keys and values to one layer's cache, and give what the new tokens see.

        states: queries [B, H, q, d], keys and values [B, Hkv, q, d]; gives [B, H, q, d].
        listening: what these tokens ask is summed up once their row has ended.
        """
        query, layer = states[0], attention.layer_idx
        keys, values = self.cache.update(*states[1:], layer)
        if self.seen[layer] is not None:
            self.seen[layer] = pad(self.seen[layer], (0, query.shape[2]), value=True)
        if listening:
            self.asked[layer].append(query)
            self.scaling[layer] = scaling
        return sdpa(attention, query, keys, values, self._mask(layer, query, keys), scaling)

    def rewind(self, count: int) -> None:
        """Forget the last tokens that were passed: no row has gone on to them after all."""
        for held in self.cache.layers:
            held.crop(-count)
        self.seen = [None if seen is None else seen[:, :-count] for seen in self.seen]
        self.starts = self.starts - count

    def went_on(self, count: int, listening: bool) -> None:
        """Note that `count` tokens of every row have passed all layers."""
        self.starts = self.starts + count
        if listening:
            self.answered = [answered + count for answered in self.answered]

    def _mask(self, layer: int, query: Tensor, keys: Tensor) -> Tensor | None:
        """Tell sdpa what the new tokens may see: [B, 1, q, keys], or None for everything."""
        seen, q = self.seen[layer], query.shape[2]
        if seen is not None:
            seen = seen[:, None, None].to(query.device)
        if q == 1:
            return seen
        # sdpa must not guess: every cached key is open, the new ones are causal
        new = torch.ones(q, keys.shape[2], dtype=torch.bool, device=query.device)
        open_ = new.tril(keys.shape[2] - q)[None, None]
        return open_ if seen is None else open_ & seen


def _neuron_masks(runs: Sequence[PrefillRun]) -> list[Tensor]:
    """Join the neurons that every run may use in each layer, [L][B, I]; empty if all use all."""
    chosen = next((run.core for run in runs if run.core), [])
    every = [torch.ones_like(core) for core in chosen]
    return [torch.stack(rows) for rows in zip(*(run.core or every for run in runs), strict=True)]
