"""Run the language model layer by layer over a prompt, and let tokens leave between layers.

With decoding.py, which goes on from here, the only place that runs the language model. Knows
sequences, positions and caches; not where tokens come from, which method chooses them, or what the
words mean. One prompt at a time.
Facts about transformers 5.24 that this file rests on: a decoder layer returns one tensor; sdpa
without a mask is causal for more than one query and open for a single one; caches hold keys with
their positions and may differ in length from layer to layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from explorer.capture import listen
from explorer.decoding import Step, decode, forced
from explorer.families.parts import Decoder
from explorer.inner import OF_LAST_LAYER, Watch
from explorer.runs import Run, last_row
from explorer.sequence import Outcome, Prompt, Sequence
from explorer.signals import Kept, Signals, Stage

Choose = Callable[[Signals, Stage], Kept]


@dataclass(frozen=True)
class Plan:
    """Where tokens leave, who chooses them, what he looks at, and what becomes of positions."""

    stages: tuple[Stage, ...] = ()
    choose: Choose | None = None
    needs: frozenset[str] = frozenset()
    renumber: bool = False


EVERYTHING = Plan()


def _prune(run: Run, sequence: Sequence, plan: Plan, stage: Stage, watch: Watch) -> None:
    """Let the plan choose who leaves at one stage, and rebuild the sequence."""
    began = time.perf_counter()
    if stage.layer == 0:
        signals = watch.prompt.signals
    else:
        signals = watch.signals(sequence, run.decoder.body, stage.layer)
    kept = plan.choose(signals, stage)
    run.outcomes.append(sequence.drop(kept, stage, plan.renumber))
    merged = 0 if kept.merged is None else len(kept.merged)
    watch.dropped(kept.index, kept.lead, merged - kept.lead)
    run.select_seconds += time.perf_counter() - began


@torch.no_grad()
def prefill(
    decoder: Decoder, prompt: Prompt, plan: Plan = EVERYTHING, only_stages: bool = False
) -> Run:
    """Pass the prompt through all layers; tokens leave where the plan says.

    only_stages: stop when the last stage is done (for maps; such a run can't decode).
    """
    started = time.perf_counter()
    body, sequence = decoder.body, Sequence(prompt)
    run = Run(
        decoder=decoder,
        cache=DynamicCache(config=body.config),
        next_position=int(prompt.positions[..., -1].max()) + 1,
        axes=tuple(prompt.positions.shape[:-2]),
        heard=torch.zeros(len(body.layers), 2, device=prompt.embeds.device),
    )
    at = {stage.layer: stage for stage in plan.stages}
    watch = Watch(plan.needs, prompt)
    newest: Tensor | None = None

    def hear(query: Tensor, key: Tensor, scaling: float) -> None:
        nonlocal newest
        watch.hear(query, key, scaling)
        if not only_stages:
            newest = last_row(query, key, scaling)[0]

    # For maps nothing is answered: no cache, and no listening where no method looks at the rows.
    cache = None if only_stages else run.cache
    listening = not only_stages or bool(plan.needs & OF_LAST_LAYER)
    for index, layer in enumerate(body.layers):
        if index in at:
            _prune(run, sequence, plan, at[index], watch)
        if only_stages and len(run.outcomes) == len(at):
            return run
        run.entered(sequence)
        how = {
            "attention_mask": None,
            "position_embeddings": sequence.rotary(body),
            "cache": cache,
        }
        with listen({layer.self_attn: hear} if listening else {}):
            if watch.in_parts and index < plan.stages[-1].layer:
                sequence.x = watch.run(layer, sequence.x, sequence, **how)
            else:
                sequence.x = layer(sequence.x, use_cache=True, **how)
        if not only_stages:
            if newest is None:
                raise RuntimeError("the language model is not set to the listening attention")
            run.hear(index, newest)
    run.mass = run.heard
    run.logits = decoder.head(body.norm(sequence.x[:, -1:]))[0, -1].float()
    run.prefill_seconds = time.perf_counter() - started - run.select_seconds
    return run


__all__ = ["EVERYTHING", "Outcome", "Plan", "Prompt", "Run", "Step", "decode", "forced", "prefill"]
