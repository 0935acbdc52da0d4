"""Run the language model layer by layer over a prompt, and let tokens leave between layers.

With decoding.py, which goes on from here, the only place that runs the language model. Knows
sequences, positions and caches; not where tokens come from, which method chooses them, or what the
words mean. Prompts that pass together stand one behind the other in one row of tokens.
Facts about transformers 5.24 that this file rests on: a decoder layer returns one tensor; sdpa
without a mask is causal for more than one query and open for a single one; caches hold keys with
their positions and may differ in length from layer to layer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from explorer.decoding import Step, decode, forced
from explorer.families.parts import Decoder
from explorer.inner import Walk, Watch, overhear, through
from explorer.runs import Run, last_rows, note
from explorer.sequence import Outcome, Prompt, Sequence
from explorer.signals import Kept, Neurons, Signals, Stage

Choose = Callable[[Signals, Stage], Kept]


@dataclass(frozen=True)
class Plan:
    """Where tokens leave, who chooses them, what he looks at, and what becomes of positions.

    core: chooses, from what a layer's FFN activates over the prompt, the neurons [I] that decoding
    may use there; needs "neurons". None lets it use all.
    """

    stages: tuple[Stage, ...] = ()
    choose: Choose | None = None
    needs: frozenset[str] = frozenset()
    renumber: bool = False
    core: Callable[[Neurons], Tensor] | None = None


EVERYTHING = Plan()


def prune(decoder: Decoder, walk: Walk, plan: Plan, stage: Stage) -> tuple[Outcome, Tensor]:
    """Let the plan choose who leaves at one stage, and rebuild the sequence.

    Gives also the places of those that stay but shall be blanked in the last layer's cache.
    """
    sequence, watch = walk.sequence, walk.watch
    if stage.layer == 0:
        signals = watch.prompt.signals
    else:
        signals = watch.signals(sequence, decoder.body, stage.layer)
    kept = plan.choose(signals, stage)
    if stage.blank:
        return sequence.blank(kept, stage)
    outcome = sequence.drop(kept, stage, plan.renumber)
    merged = 0 if kept.merged is None else len(kept.merged)
    watch.dropped(kept.index, kept.lead, merged - kept.lead)
    return outcome, kept.index[:0]


class _Filling:
    """A run that is being prefilled: its walk through the layers and the stages on its way."""

    def __init__(self, decoder: Decoder, prompt: Prompt, plan: Plan):
        body = decoder.body
        self.plan = plan
        self.stages = {stage.layer: stage for stage in plan.stages}
        self.noted = len(body.layers) if plan.core else max(self.stages, default=0)
        self.run = Run(
            decoder=decoder,
            cache=DynamicCache(config=body.config),
            axes=tuple(prompt.positions.shape[:-2]),
            heard=torch.zeros(
                len(body.layers), 2, device=prompt.embeds.device, dtype=torch.float32
            ),
        )
        self.walk = Walk(Sequence(prompt), Watch(plan.needs, prompt), self.run.cache)

    def prune(self, layer: int) -> None:
        """Let tokens leave before a layer if there is a stage."""
        if layer not in self.stages:
            return
        began, stage, run = time.perf_counter(), self.stages[layer], self.run
        outcome, blank = prune(run.decoder, self.walk, self.plan, stage)
        run.outcomes.append(outcome)
        if stage.blank:
            run.blank(layer - 1, blank)
        run.select_seconds += time.perf_counter() - began


def prefill(decoder: Decoder, prompt: Prompt, plan: Plan = EVERYTHING) -> Run:
    """Pass the prompt through all layers; tokens leave where the plan says."""
    [run] = prefill_together(decoder, [(prompt, plan)])
    return run


@torch.no_grad()
def prefill_together(decoder: Decoder, asked: list[tuple[Prompt, Plan]]) -> list[Run]:
    """Pass several prompts through all layers side by side, each by its own plan.

    Runs differ from those that are prefilled alone by rounding only, if at all. Their
    `prefill_seconds` are not a number: they are shared.
    """
    started, body = time.perf_counter(), decoder.body
    rows = [_Filling(decoder, prompt, plan) for prompt, plan in asked]
    runs, walks = [row.run for row in rows], [row.walk for row in rows]
    newest: Tensor | None = None

    def hear(walks: list[Walk], query: Tensor, key: Tensor, scaling: float) -> None:
        nonlocal newest
        overhear(walks, query, key, scaling)
        newest = last_rows(query, key, scaling, [walk.length for walk in walks])

    noted = max(row.noted for row in rows)
    for index, layer in enumerate(body.layers):
        for row in rows:
            row.prune(index)
            row.run.entered(row.walk.sequence)
        through(layer, walks, body, hear, index < noted)
        if newest is None:
            raise RuntimeError("the language model is not set to the listening attention")
        note(runs, index, newest)
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


__all__ = [
    "EVERYTHING", "Outcome", "Plan", "Prompt", "Run", "Step", "decode", "forced", "prefill",
    "prefill_together",
]  # fmt: skip
