"""A prefilled prompt, ready to decode: caches, logits, and what entered each layer.

A record that the engine fills and the decoder continues; runs nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import DynamicCache

from explorer.families.parts import Decoder
from explorer.sequence import Outcome, Sequence


@dataclass
class Run:
    """A prefilled prompt.

    logits [V] after the last prompt token; visual [L] and length [L] tokens that entered each
    layer; counted [L][2, length] which of them are text and visual; heard [L, 2] attention that the
    last prompt row paid to text and to visual tokens; mass [L, 2] the same summed over all rows
    that produced the answer, answered of them.
    axes of positions before the batch (mRoPE: 3), starts [L]: the position of the next token in
    each layer. readable [L]: visual tokens
    that entered each layer, without those that are blank in its cache. core [L][I]: the neurons
    that decoding may use in each layer; empty for all.
    """

    decoder: Decoder
    cache: DynamicCache
    axes: tuple[int, ...]
    starts: list[int] = field(default_factory=list)
    counted: list[Tensor] = field(default_factory=list)
    visual: list[int] = field(default_factory=list)
    readable: list[int] = field(default_factory=list)
    length: list[int] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    core: list[Tensor] = field(default_factory=list)
    logits: Tensor | None = None
    heard: Tensor | None = None
    mass: Tensor | None = None
    answered: int = 1
    select_seconds: float = 0.0
    prefill_seconds: float = 0.0

    def entered(self, sequence: Sequence) -> None:
        """Note what is about to enter the next layer."""
        self.starts.append(int(sequence.positions[..., -1].max()) + 1)
        self.counted.append(sequence.counted)
        self.visual.append(len(sequence.visual))
        self.readable.append(len(sequence.visual))
        self.length.append(sequence.x.shape[1])

    def blank(self, layer: int, places: Tensor) -> None:
        """Set what a layer has cached at these places to zero; without a cache there is nothing."""
        self.readable[layer] -= len(places)
        if self.cache.get_seq_length(layer):
            held = self.cache.layers[layer]
            places = places.to(held.keys.device)
            held.keys = held.keys.index_fill(2, places, 0)
            held.values = held.values.index_fill(2, places, 0)


def last_rows(query: Tensor, key: Tensor, scaling: float, lengths: list[int]) -> Tensor:
    """Give the attention of the newest token of every sequence in a pack, [B, keys] in float32.

    Mean over heads. query [1, H, S, d], key [1, Hkv, S, d]; lengths [B] of the sequences, which
    stand one behind the other.
    """
    _, H, S, d = query.shape
    counts = torch.tensor(lengths, device=query.device)
    ends = counts.cumsum(0)
    grouped = query[0, :, ends - 1].float().reshape(key.shape[1], -1, d)
    logits = (grouped @ key[0].float().transpose(1, 2)).view(H, -1, S) * scaling
    if len(lengths) > 1:
        place = torch.arange(S, device=query.device)
        own = (place >= (ends - counts)[:, None]) & (place < ends[:, None])
        logits = logits.masked_fill(~own, float("-inf"))
    return logits.softmax(-1).mean(0)


def note(runs: list[Run], layer: int, rows: Tensor) -> None:
    """Note what the last prompt token of every run in a pack heard in a layer; see `last_rows`."""
    counted = torch.cat([run.counted[layer] for run in runs], 1)
    for run, sums in zip(runs, rows.to(counted.device) @ counted.T, strict=True):
        run.heard[layer] = sums.to(run.heard.device)
