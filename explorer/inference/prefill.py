"""Run the language model layer by layer over a prompt, and let tokens leave between layers.

Knows sequences, positions and caches; not where tokens come from, which method chooses them, or
what the words mean. Prompts that pass together stand one behind the other in one row of tokens.
Facts about transformers 5.24 that this file rests on: a decoder layer returns one tensor; sdpa
without a mask is causal for more than one query and open for a single one; caches hold keys with
their positions and may differ in length from layer to layer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import DynamicCache

from explorer.inference.attention_weights import last_rows
from explorer.inference.llm_layers import ForwardState, SignalRecorder, record_qk, run_layer
from explorer.inference.sequence import Prompt, Sequence, StageOutcome
from explorer.methods.signals import Kept, Neurons, Signals, Stage
from explorer.vlm.components import Decoder

ChooseTokens = Callable[[Signals, Stage], Kept]


@dataclass(frozen=True)
class PruningPlan:
    """Where tokens leave, who chooses them, what he looks at, and what becomes of positions.

    core: chooses, from what a layer's FFN activates over the prompt, the neurons [I] that decoding
    may use there; needs "neurons". None lets it use all.
    """

    stages: tuple[Stage, ...] = ()
    choose: ChooseTokens | None = None
    needs: frozenset[str] = frozenset()
    renumber: bool = False
    core: Callable[[Neurons], Tensor] | None = None


KEEP_ALL = PruningPlan()


def prune(
    decoder: Decoder, walk: ForwardState, plan: PruningPlan, stage: Stage
) -> tuple[StageOutcome, Tensor]:
    """Let the plan choose who leaves at one stage, and rebuild the sequence.

    Gives also the places of those that stay but shall be blanked in the last layer's cache.
    """
    sequence, watch = walk.sequence, walk.watch
    if stage.layer == 0:
        signals = watch.prompt.signals
    else:
        signals = watch.signals(sequence, decoder.body, stage.layer)
    kept = plan.choose(signals, stage)
    if stage.wipe_cache:
        return sequence.blank(kept, stage)
    outcome = sequence.drop(kept, stage, plan.renumber)
    merged = 0 if kept.merged is None else len(kept.merged)
    watch.dropped(kept.index, kept.lead, merged - kept.lead)
    return outcome, kept.index[:0]


class _PrefillRow:
    """A run that is being prefilled: its walk through the layers and the stages on its way."""

    def __init__(self, decoder: Decoder, prompt: Prompt, plan: PruningPlan):
        body = decoder.body
        self.plan = plan
        self.stages = {stage.layer: stage for stage in plan.stages}
        self.noted = len(body.layers) if plan.core else max(self.stages, default=0)
        self.run = PrefillRun(
            decoder=decoder,
            cache=DynamicCache(config=body.config),
            axes=tuple(prompt.positions.shape[:-2]),
            heard=torch.zeros(
                len(body.layers), 2, device=prompt.embeds.device, dtype=torch.float32
            ),
        )
        self.walk = ForwardState(
            Sequence(prompt), SignalRecorder(plan.needs, prompt), self.run.cache
        )

    def prune(self, layer: int) -> None:
        """Let tokens leave before a layer if there is a stage."""
        if layer not in self.stages:
            return
        began, stage, run = time.perf_counter(), self.stages[layer], self.run
        outcome, blank = prune(run.decoder, self.walk, self.plan, stage)
        run.outcomes.append(outcome)
        if stage.wipe_cache:
            run.blank(layer - 1, blank)
        run.select_seconds += time.perf_counter() - began


def prefill(decoder: Decoder, prompt: Prompt, plan: PruningPlan = KEEP_ALL) -> PrefillRun:
    """Pass the prompt through all layers; tokens leave where the plan says."""
    [run] = prefill_together(decoder, [(prompt, plan)])
    return run


@torch.no_grad()
def prefill_together(decoder: Decoder, asked: list[tuple[Prompt, PruningPlan]]) -> list[PrefillRun]:
    """Pass several prompts through all layers side by side, each by its own plan.

    Runs differ from those that are prefilled alone by rounding only, if at all. Their
    `prefill_seconds` are not a number: they are shared.
    """
    started, body = time.perf_counter(), decoder.body
    rows = [_PrefillRow(decoder, prompt, plan) for prompt, plan in asked]
    runs, walks = [row.run for row in rows], [row.walk for row in rows]
    newest: Tensor | None = None

    def hear(walks: list[ForwardState], query: Tensor, key: Tensor, scaling: float) -> None:
        nonlocal newest
        record_qk(walks, query, key, scaling)
        newest = last_rows(query, key, scaling, [walk.length for walk in walks])

    noted = max(row.noted for row in rows)
    for index, layer in enumerate(body.layers):
        for row in rows:
            row.prune(index)
            row.run.entered(row.walk.sequence)
        run_layer(layer, walks, body, hear, index < noted)
        if newest is None:
            raise RuntimeError("the language model is not set to the listening attention")
        record_attention_mass(runs, index, newest)
        for row in rows:
            if row.plan.core:
                row.run.core.append(row.plan.core(row.walk.watch.neurons(row.walk.sequence)))
    for row in rows:
        row.prune(len(body.layers))  # a blank stage may stand behind the last layer
    last = torch.cat([walk.sequence.x[:, -1:] for walk in walks])
    logits = decoder.head(body.norm(last))[:, -1].float()
    alone = time.perf_counter() - started if len(rows) == 1 else math.nan
    for run, own in zip(runs, logits, strict=True):
        run.mass, run.logits, run.prefill_seconds = run.heard, own, alone - run.select_seconds
    return runs


@dataclass
class PrefillRun:
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
    outcomes: list[StageOutcome] = field(default_factory=list)
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


def record_attention_mass(runs: list[PrefillRun], layer: int, rows: Tensor) -> None:
    """Note what the last prompt token of every run in a pack heard in a layer; see `last_rows`."""
    counted = torch.cat([run.counted[layer] for run in runs], 1)
    for run, sums in zip(runs, rows.to(counted.device) @ counted.T, strict=True):
        run.heard[layer] = sums.to(run.heard.device)
