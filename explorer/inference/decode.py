"""Answer from prefilled runs, one token at a time, several runs side by side.

Rows of several batches pass the layers as one; only attention looks into each batch's own cache.
So runs may join while others are still speaking. Knows batches and their tokens; not methods,
pictures or words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from explorer.inference.batch import DecodeBatch
from explorer.inference.prefill import PrefillRun
from explorer.vlm.attention import override_attention


@dataclass(frozen=True)
class Step:
    """One token of the answer and the probability that the model gave it."""

    token: int
    probability: float
    logits: Tensor


@dataclass
class _DecodeGroup:
    """A batch that speaks. numbers: who its rows are; logits [B, V] of the next token; said [B]:
    the tokens said last, which have not passed the model yet.
    """

    batch: DecodeBatch
    numbers: list[int]
    logits: Tensor
    said: list[int] | None = None

    def speak(self) -> Iterator[tuple[int, Step]]:
        """Say the most probable token of every row."""
        tokens = self.logits.argmax(-1)
        chances = self.logits.softmax(-1).gather(1, tokens[:, None])[:, 0].tolist()
        self.said = tokens.tolist()
        for number, token, chance, row in zip(
            self.numbers, self.said, chances, self.logits, strict=True
        ):
            yield number, Step(token, chance, row)

    def part(self, limit: int) -> None:
        """Let those go who have ended: with EOS, or with as many tokens as the limit allows."""
        eos, answered = self.batch.decoder.eos, self.batch.answered
        going = [
            row for row, token in enumerate(self.said) if token not in eos and answered[row] < limit
        ]
        self.batch.select(going)
        self.numbers = [self.numbers[row] for row in going]
        self.said = [self.said[row] for row in going]


class DecodeLoop:
    """Runs of one model that answer greedily; others may join between two steps.

    A run ends with EOS, which is given too, or after `limit` tokens. Rows differ from those of a
    run that decodes alone by rounding only.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._groups: list[_DecodeGroup] = []
        self._count = 0

    def join(self, batch: DecodeBatch) -> range:
        """Let the rows of a batch speak from the next step on; gives their numbers."""
        numbers = range(self._count, self._count + len(batch.runs))
        logits = torch.stack([run.logits for run in batch.runs])
        self._groups.append(_DecodeGroup(batch, list(numbers), logits))
        self._count = numbers.stop
        return numbers

    @torch.no_grad()
    def step(self) -> list[tuple[int, Step]]:
        """Give what each row says next, as (number, step); whoever isn't among them has ended."""
        for group in self._groups:
            if group.said is not None:
                group.part(self.limit)
        self._groups = [group for group in self._groups if group.numbers]
        spoken = [group for group in self._groups if group.said is not None]
        if spoken:
            tokens = [
                torch.tensor(group.said, device=group.logits.device)[:, None] for group in spoken
            ]
            passed = advance([group.batch for group in spoken], tokens, listening=True)
            for group, logits in zip(spoken, passed, strict=True):
                group.logits = logits[:, -1]
        return [each for group in self._groups for each in group.speak()]


def advance(
    batches: Sequence[DecodeBatch], tokens: Sequence[Tensor], listening: bool
) -> list[Tensor]:
    """Pass tokens [B, q] of each batch through all layers, behind its caches; logits [B, q, V]."""
    decoder, axes = batches[0].decoder, batches[0].axes
    body, rows = decoder.body, [len(batch.runs) for batch in batches]
    ids = torch.cat(list(tokens))
    x = body.embed_tokens(ids)
    ahead = torch.arange(ids.shape[1], device=x.device)
    starts = torch.cat([batch.starts for batch in batches])
    known = [tuple(column) for column in starts.T.tolist()]
    cores = _neuron_masks(batches)
    rotary: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
    for index, layer in enumerate(body.layers):
        if known[index] not in rotary:
            positions = starts[:, index, None] + ahead
            rotary[known[index]] = body.rotary_emb(x, positions.expand(*axes, *ids.shape))

        def attend(*states: Tensor, layer: nn.Module = layer) -> Tensor:
            *states, scaling = states
            parts = zip(*(each.split(rows) for each in states), strict=True)
            seen = [
                batch.attend(layer.self_attn, part, scaling, listening)
                for batch, part in zip(batches, parts, strict=True)
            ]
            return seen[0] if len(seen) == 1 else torch.cat(seen)

        how = {"attention_mask": None, "position_embeddings": rotary[known[index]]}
        with override_attention(attend):
            x = _with_masked_neurons(layer, x, cores[index], how) if cores else layer(x, **how)
    for batch in batches:
        batch.went_on(ids.shape[1], listening)
    return list(decoder.head(body.norm(x)).float().split(rows))


def _neuron_masks(batches: Sequence[DecodeBatch]) -> list[Tensor]:
    """Join the neurons that every row may use in each layer, [L][B, I]; empty if all use all."""
    like = next((batch.cores for batch in batches if batch.cores), [])
    return [
        torch.cat(
            [
                batch.cores[layer] if batch.cores else core.new_ones(len(batch.runs), core.shape[1])
                for batch in batches
            ]
        )
        for layer, core in enumerate(like)
    ]


def _with_masked_neurons(layer: nn.Module, x: Tensor, core: Tensor, how: dict) -> Tensor:
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
    runs: Sequence[PrefillRun], max_new_tokens: int
) -> Iterator[list[tuple[int, Step]]]:
    """Answer greedily from several runs at once; gives what each step adds, as (number, step)."""
    talk, batch = DecodeLoop(max_new_tokens), DecodeBatch(runs)
    talk.join(batch)
    while steps := talk.step():
        if len(runs) == 1:
            runs[0].cache = batch.cache
        yield steps


def decode(run: PrefillRun, max_new_tokens: int) -> Iterator[Step]:
    """Answer greedily, one token at a time, until EOS or the limit; EOS is yielded too."""
    for [(_, step)] in decode_together([run], max_new_tokens):
        yield step


@torch.no_grad()
def teacher_force_together(batch: DecodeBatch, answers: Sequence[Sequence[int]]) -> list[Tensor]:
    """Give the logits [G, V] with which each run would have met a given answer of G tokens.

    The batch is as before afterwards.
    """
    device = batch.starts.device
    longest = max(len(tokens) for tokens in answers)
    met = torch.stack([run.logits for run in batch.runs])[:, None]
    if longest > 1:
        # behind the end of a shorter answer stands anything: nothing before it sees that
        ids = [[*tokens[:-1], *[0] * (longest - len(tokens))] for tokens in answers]
        [behind] = advance([batch], [torch.tensor(ids, device=device)], listening=False)
        batch.rewind(longest - 1)
        met = torch.cat([met, behind], 1)
    return [logits[: len(tokens)] for logits, tokens in zip(met, answers, strict=True)]


def teacher_force(run: PrefillRun, tokens: Sequence[int]) -> Tensor:
    """Give the logits [G, V] with which this run would have met a given answer of G tokens."""
    return teacher_force_together(DecodeBatch([run]), [tokens])[0]
