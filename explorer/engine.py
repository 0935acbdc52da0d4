"""Run the language model layer by layer over a prompt, and let tokens leave between layers.

With decoding.py, which goes on from here, the only place that runs the language model. Knows
sequences, positions and caches; not where tokens come from, which method chooses them, or what the
words mean. One prompt at a time.
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

from explorer.capture import listen
from explorer.decoding import Step, decode, forced
from explorer.families.parts import Decoder
from explorer.inner import Watch, through
from explorer.runs import Run, last_row
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


def prune(
    decoder: Decoder, sequence: Sequence, plan: Plan, stage: Stage, watch: Watch
) -> tuple[Outcome, Tensor]:
    """Let the plan choose who leaves at one stage, and rebuild the sequence.

    Gives also the places of those that stay but shall be blanked in the last layer's cache.
    """
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


def _prune(run: Run, sequence: Sequence, plan: Plan, stage: Stage, watch: Watch) -> None:
    began = time.perf_counter()
    outcome, blank = prune(run.decoder, sequence, plan, stage, watch)
    run.outcomes.append(outcome)
    if stage.blank:
        run.blank(stage.layer - 1, blank)
    run.select_seconds += time.perf_counter() - began


def _begin(decoder: Decoder, prompt: Prompt) -> Run:
    return Run(
        decoder=decoder,
        cache=DynamicCache(config=decoder.body.config),
        axes=tuple(prompt.positions.shape[:-2]),
        heard=torch.zeros(len(decoder.body.layers), 2, device=prompt.embeds.device),
    )


@torch.no_grad()
def prefill(decoder: Decoder, prompt: Prompt, plan: Plan = EVERYTHING) -> Run:
    """Pass the prompt through all layers; tokens leave where the plan says."""
    started = time.perf_counter()
    body, sequence = decoder.body, Sequence(prompt)
    run = _begin(decoder, prompt)
    at = {stage.layer: stage for stage in plan.stages}
    watch = Watch(plan.needs, prompt)
    newest: Tensor | None = None

    def hear(query: Tensor, key: Tensor, scaling: float) -> None:
        nonlocal newest
        watch.hear(query, key, scaling)
        newest = last_row(query, key, scaling)[0]

    noted = len(body.layers) if plan.core else max(at, default=0)
    for index, layer in enumerate(body.layers):
        if index in at:
            _prune(run, sequence, plan, at[index], watch)
        run.entered(sequence)
        through(layer, sequence, body, watch, run.cache, hear, index < noted)
        if newest is None:
            raise RuntimeError("the language model is not set to the listening attention")
        run.hear(index, newest)
        if plan.core:
            run.core.append(plan.core(watch.neurons(sequence)))
    if len(body.layers) in at:  # a blank stage may stand behind the last layer
        _prune(run, sequence, plan, at[len(body.layers)], watch)
    run.mass = run.heard
    run.logits = decoder.head(body.norm(sequence.x[:, -1:]))[0, -1].float()
    run.prefill_seconds = time.perf_counter() - started - run.select_seconds
    return run


def early(plan: Plan) -> bool:
    """Tell whether all that a plan does is over before the first layer."""
    return plan.core is None and not any(stage.layer or stage.blank for stage in plan.stages)


@torch.no_grad()
def prefill_together(decoder: Decoder, asked: list[tuple[Prompt, Plan]]) -> list[Run]:
    """Pass several prompts through all layers side by side; each plan is `early`.

    As many tokens must stay of one prompt as of the other. Rows differ from those of a run that is
    prefilled alone by rounding only. Their seconds are not a number: they are shared.
    """
    body, runs, rows = decoder.body, [], []
    for prompt, plan in asked:
        run, row = _begin(decoder, prompt), Sequence(prompt)
        for stage in plan.stages:
            _prune(run, row, plan, stage, Watch(plan.needs, prompt))
        runs.append(run)
        rows.append(row)
    x = torch.cat([row.x for row in rows])
    how = {
        "attention_mask": None,
        "position_embeddings": body.rotary_emb(x, torch.cat([row.positions for row in rows], -2)),
        "cache": DynamicCache(config=body.config),
        "use_cache": True,
    }
    for index, layer in enumerate(body.layers):

        def hear(query: Tensor, key: Tensor, scaling: float, index: int = index) -> None:
            for run, row, newest in zip(runs, rows, last_row(query, key, scaling), strict=True):
                run.entered(row)
                run.hear(index, newest)

        with listen({layer.self_attn: hear}):
            x = layer(x, **how)
        if any(len(row.deep) > index for row in rows):
            x = torch.cat(
                [row.deepened(each, index) for row, each in zip(rows, x[:, None], strict=True)]
            )
    logits = decoder.head(body.norm(x[:, -1:]))[:, -1].float()
    for number, run in enumerate(runs):
        for index, held in enumerate(how["cache"].layers):
            only = slice(number, number + 1)
            run.cache.update(held.keys[only], held.values[only], index)
        run.mass, run.logits, run.prefill_seconds = run.heard, logits[number], math.nan
    return runs


__all__ = [
    "EVERYTHING", "Outcome", "Plan", "Prompt", "Run", "Step", "decode", "early", "forced",
    "prefill", "prefill_together",
]  # fmt: skip
