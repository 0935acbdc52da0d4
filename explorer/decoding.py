"""Answer from prefilled runs, one token at a time, several runs side by side.

Runs may hold different numbers of tokens, also from layer to layer: shorter caches are padded on
the left, and the padding is masked. One run alone is the same code without padding. A run's own
cache is never changed by other runs. Knows caches and positions; not methods, pictures or words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from explorer.capture import AT_ONCE, causal_rows, listen
from explorer.runs import Run

ROOM = 32  # tokens by which a cache grows when it is full


@dataclass(frozen=True)
class Step:
    """One token of the answer and the probability that the model gave it."""

    token: int
    probability: float
    logits: Tensor


class Roomy(DynamicLayer):
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
                _with_room(old, new, held, total + ROOM)
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


def _with_room(old: Tensor, like: Tensor, held: int, capacity: int) -> Tensor:
    """Make a tensor for `capacity` tokens, and put what is held into it."""
    rows, heads, _, width = like.shape
    room = like.new_empty(rows, heads, capacity, width)
    if held:
        room[:, :, :held] = old
    return room


class Batch:
    """Runs of one model side by side, each row behind its own prompt."""

    def __init__(self, runs: Sequence[Run]):
        self.decoder = runs[0].decoder
        self.runs = list(runs)
        self.axes = runs[0].axes
        device = runs[0].logits.device
        layers = range(len(runs[0].length))
        self.cache = DynamicCache(config=self.decoder.body.config)
        self.cache.layers = [
            Roomy() if type(layer) is DynamicLayer else layer for layer in self.cache.layers
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
        self.cores = _cores(runs)
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
        most = max(1, AT_ONCE // max(1, asked * self.cache.get_seq_length()))
        yield from (rows[i : i + most] for i in range(0, len(rows), most))

    def _listened(self, rows: list[int]) -> Tensor:
        """Sum the attention that rows' own words paid to text and to visual tokens, [R, L, 2]."""
        place = self.starts.device
        index = torch.tensor(rows, device=place)
        heard = torch.zeros(len(rows), len(self.asked), 2, device=place)
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

    def advance(self, tokens: Tensor, listening: bool) -> Tensor:
        """Pass tokens [B, q] through all layers behind the caches; gives logits [B, q, V]."""
        body, q = self.decoder.body, tokens.shape[1]
        x = body.embed_tokens(tokens)
        ahead = torch.arange(q, device=x.device)
        starts = [tuple(column) for column in self.starts.T.tolist()]
        rotary: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
        for index, layer in enumerate(body.layers):
            known = starts[index]
            if known not in rotary:
                positions = self.starts[:, index, None] + ahead
                rotary[known] = body.rotary_emb(x, positions.expand(*self.axes, *tokens.shape))
            if self.seen[index] is not None:
                self.seen[index] = pad(self.seen[index], (0, q), value=True)

            def hear(query: Tensor, key: Tensor, scaling: float, index: int = index) -> None:
                self.asked[index].append(query)
                self.scaling[index] = scaling

            how = {
                "attention_mask": self._mask(index, ahead),
                "position_embeddings": rotary[known],
                "cache": self.cache,
                "use_cache": True,
            }
            with listen({layer.self_attn: hear} if listening else {}):
                if self.cores:
                    x = _with_some_neurons(layer, x, self.cores[index], how)
                else:
                    x = layer(x, **how)
        self.starts = self.starts + q
        if listening:
            self.answered = [answered + 1 for answered in self.answered]
        return self.decoder.head(body.norm(x)).float()

    def rewind(self, count: int) -> None:
        """Forget the last tokens that were passed: no row has gone on to them after all."""
        for held in self.cache.layers:
            held.crop(-count)
        self.seen = [None if seen is None else seen[:, :-count] for seen in self.seen]
        self.starts = self.starts - count

    def _mask(self, layer: int, ahead: Tensor) -> Tensor | None:
        """Tell sdpa what the new tokens may see: [B, 1, q, keys], or None for everything."""
        seen, q = self.seen[layer], len(ahead)
        if q == 1:
            return None if seen is None else seen[:, None, None]
        # sdpa must not guess: every cached key is open, the new ones are causal
        held = self.cache.get_seq_length(layer)
        old = torch.ones(q, held, dtype=torch.bool, device=ahead.device)
        open_ = torch.cat([old, ahead[None, :] <= ahead[:, None]], 1)[None, None]
        return open_ if seen is None else open_ & seen[:, None, None]


def _cores(runs: Sequence[Run]) -> list[Tensor]:
    """Join the neurons that every run may use in each layer, [L][B, I]; empty if all use all."""
    chosen = next((run.core for run in runs if run.core), [])
    every = [torch.ones_like(core) for core in chosen]
    return [torch.stack(rows) for rows in zip(*(run.core or every for run in runs), strict=True)]


def _with_some_neurons(layer: nn.Module, x: Tensor, core: Tensor, how: dict) -> Tensor:
    """Run a layer in whose FFN only the neurons core [B, I] speak.

    The others are silenced, not cut out of the weights: the same numbers, but no time is saved.
    """
    given, _ = layer.self_attn(layer.input_layernorm(x), **how)
    x = x + given
    looked, mlp = layer.post_attention_layernorm(x), layer.mlp
    values = mlp.act_fn(mlp.gate_proj(looked)) * mlp.up_proj(looked)
    return x + mlp.down_proj(values * core[:, None])


@torch.no_grad()
def decode_together(
    runs: Sequence[Run], max_new_tokens: int, batch: Batch | None = None
) -> Iterator[list[tuple[int, Step]]]:
    """Answer greedily from several runs at once; gives what each step adds, as (number, step).

    A run ends with EOS, which is given too, or at the limit. Rows differ from those of a run that
    decodes alone by rounding only. batch: of these runs, if there is one already; it is used up.
    """
    batch, numbers = batch or Batch(runs), list(range(len(runs)))
    logits = torch.stack([run.logits for run in runs])
    for count in range(max_new_tokens):
        tokens = logits.argmax(-1)
        chances = logits.softmax(-1).gather(1, tokens[:, None])[:, 0].tolist()
        said = tokens.tolist()
        yield [
            (number, Step(token, chance, row))
            for number, token, chance, row in zip(numbers, said, chances, logits, strict=True)
        ]
        going = [i for i, token in enumerate(said) if token not in batch.decoder.eos]
        if count + 1 == max_new_tokens:
            going = []
        batch.select(going)
        if not going:
            return
        numbers = [numbers[i] for i in going]
        logits = batch.advance(tokens[going, None], listening=True)[:, -1]
        if len(runs) == 1:
            runs[0].cache = batch.cache


def decode(run: Run, max_new_tokens: int) -> Iterator[Step]:
    """Answer greedily, one token at a time, until EOS or the limit; EOS is yielded too."""
    for [(_, step)] in decode_together([run], max_new_tokens):
        yield step


@torch.no_grad()
def forced_together(batch: Batch, tokens: Sequence[int]) -> Tensor:
    """Give the logits [B, G, V] with which each run would have met a given answer of G tokens.

    The batch is as before afterwards.
    """
    first = torch.stack([run.logits for run in batch.runs])[:, None]
    if len(tokens) == 1:
        return first
    ids = torch.tensor(tokens[:-1], device=first.device).expand(len(first), -1)
    met = batch.advance(ids, listening=False)
    batch.rewind(ids.shape[1])
    return torch.cat([first, met], 1)


def forced(run: Run, tokens: Sequence[int]) -> Tensor:
    """Give the logits [G, V] with which this run would have met a given answer of G tokens."""
    return forced_together(Batch([run]), tokens)[0]
