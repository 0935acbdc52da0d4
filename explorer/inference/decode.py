"""Continuous batching: answer from prefilled runs, one token at a time, several side by side.

Rows of several batches pass the layers as one; only attention looks into each batch's own cache.
So runs may be added while others are running. Decoding is greedy. Knows batches and their tokens;
not methods, pictures or words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from explorer.inference.batch import DecodeBatch, join_neuron_masks
from explorer.inference.llm_layers import run_modules
from explorer.inference.prefill import PrefillRun
from explorer.vlm.attention import override_attention


@dataclass(frozen=True)
class Step:
    """One token of the answer, the probability that the model gave it, and all logits [V]."""

    token: int
    probability: float
    logits: Tensor


@dataclass
class _DecodeGroup:
    """A running batch. numbers [B] of its rows in the loop; logits [B, V] of the next token.

    tokens [B]: those sampled last, which have not passed the model yet; None before the first.
    """

    batch: DecodeBatch
    numbers: list[int]
    logits: Tensor
    tokens: list[int] | None = None

    def sample(self) -> Iterator[tuple[int, Step]]:
        """Take the most probable token of every row."""
        tokens = self.logits.argmax(-1)
        probabilities = self.logits.softmax(-1).gather(1, tokens[:, None])[:, 0].tolist()
        self.tokens = tokens.tolist()
        for number, token, probability, logits in zip(
            self.numbers, self.tokens, probabilities, self.logits, strict=True
        ):
            yield number, Step(token, probability, logits)

    def finish(self, limit: int) -> None:
        """Remove the rows that have ended: with EOS, or with as many tokens as the limit allows."""
        eos, n_tokens = self.batch.decoder.eos, self.batch.n_answer_tokens
        running = [
            row
            for row, token in enumerate(self.tokens)
            if token not in eos and n_tokens[row] < limit
        ]
        self.batch.select(running)
        self.numbers = [self.numbers[row] for row in running]
        self.tokens = [self.tokens[row] for row in running]


class DecodeLoop:
    """Runs of one model that decode greedily; others may be added between two steps.

    A run finishes with EOS, which is given too, or after `limit` tokens. Rows differ from those of
    a run that decodes alone by rounding only.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._groups: list[_DecodeGroup] = []
        self._count = 0

    def add(self, batch: DecodeBatch) -> range:
        """Run the rows of a batch from the next step on; gives their numbers."""
        numbers = range(self._count, self._count + len(batch.runs))
        logits = torch.stack([run.logits for run in batch.runs])
        self._groups.append(_DecodeGroup(batch, list(numbers), logits))
        self._count = numbers.stop
        return numbers

    @torch.no_grad()
    def step(self) -> list[tuple[int, Step]]:
        """Give each running row's next token, as (number, step); rows left out have finished."""
        for group in self._groups:
            if group.tokens is not None:
                group.finish(self.limit)
        self._groups = [group for group in self._groups if group.numbers]
        running = [group for group in self._groups if group.tokens is not None]
        if running:
            device = running[0].logits.device
            tokens = [torch.tensor(group.tokens, device=device)[:, None] for group in running]
            batches = [group.batch for group in running]
            for group, logits in zip(running, advance(batches, tokens, True), strict=True):
                group.logits = logits[:, -1]
        return [step for group in self._groups for step in group.sample()]


def advance(
    batches: Sequence[DecodeBatch], tokens: Sequence[Tensor], recording: bool
) -> list[Tensor]:
    """Pass tokens [B, q] of each batch through all layers, behind its caches; logits [B, q, V].

    recording: whether the attention of these tokens counts as that of the answer.
    """
    decoder, axes = batches[0].decoder, batches[0].position_axes
    body, rows = decoder.body, [len(batch.runs) for batch in batches]
    input_ids = torch.cat(list(tokens))
    hidden_states = body.embed_tokens(input_ids)
    ahead = torch.arange(input_ids.shape[1], device=hidden_states.device)
    next_position = torch.cat([batch.next_position for batch in batches])  # [B, L]
    by_layer = [tuple(column) for column in next_position.T.tolist()]
    neuron_masks = join_neuron_masks([batch.neuron_mask for batch in batches], rows)
    rotary: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}  # layers with equal positions share
    for index, layer in enumerate(body.layers):
        if by_layer[index] not in rotary:
            position_ids = (next_position[:, index, None] + ahead).expand(*axes, *input_ids.shape)
            rotary[by_layer[index]] = body.rotary_emb(hidden_states, position_ids)

        def attend(*qkv_scaling: Tensor, layer: nn.Module = layer) -> Tensor:
            *qkv, scaling = qkv_scaling
            parts = zip(*(states.split(rows) for states in qkv), strict=True)
            outputs = [
                batch.attend(layer.self_attn, part, scaling, recording)
                for batch, part in zip(batches, parts, strict=True)
            ]
            return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

        kwargs = {"attention_mask": None, "position_embeddings": rotary[by_layer[index]]}
        with override_attention(attend):
            if neuron_masks:
                activations = run_modules(layer, hidden_states, kwargs, neuron_masks[index])
                hidden_states = activations.hidden_states
            else:
                hidden_states = layer(hidden_states, **kwargs)
        for batch, own in zip(batches, hidden_states.split(rows), strict=True):
            batch.record_hidden_states(index, own)
    for batch in batches:
        batch.advance(input_ids.shape[1], recording)
    return list(decoder.head(body.norm(hidden_states)).float().split(rows))


@torch.no_grad()
def decode_together(
    runs: Sequence[PrefillRun], max_new_tokens: int
) -> Iterator[list[tuple[int, Step]]]:
    """Answer greedily from several runs at once; gives what each step adds, as (number, step)."""
    loop, batch = DecodeLoop(max_new_tokens), DecodeBatch(runs)
    loop.add(batch)
    while steps := loop.step():
        if len(runs) == 1:
            runs[0].cache = batch.cache
        yield steps


def decode(run: PrefillRun, max_new_tokens: int) -> Iterator[Step]:
    """Answer greedily, one token at a time, until EOS or the limit; EOS is yielded too."""
    for [(_, step)] in decode_together([run], max_new_tokens):
        yield step


@torch.no_grad()
def teacher_force_together(batch: DecodeBatch, answers: Sequence[Sequence[int]]) -> list[Tensor]:
    """Give the logits [G, V] before each of the G tokens of a given answer, for every run.

    The batch is as before afterwards.
    """
    device = batch.next_position.device
    longest = max(len(tokens) for tokens in answers)
    logits = torch.stack([run.logits for run in batch.runs])[:, None]
    if longest > 1:
        # behind the end of a shorter answer any token will do: nothing before it attends to it
        padded = [[*tokens[:-1], *[0] * (longest - len(tokens))] for tokens in answers]
        [later] = advance([batch], [torch.tensor(padded, device=device)], recording=False)
        batch.rewind(longest - 1)
        logits = torch.cat([logits, later], 1)
    return [rows[: len(tokens)] for rows, tokens in zip(logits, answers, strict=True)]


def teacher_force(run: PrefillRun, tokens: Sequence[int]) -> Tensor:
    """Give the logits [G, V] before each of the G tokens of a given answer."""
    return teacher_force_together(DecodeBatch([run]), [tokens])[0]
