"""Find out who stays at which stage, without answering: for maps, which need many such runs.

A `Trunk` walks the untouched prompt through the first layers once; every scout starts from where
its first stage is. Knows stages and layers; not methods, pictures or words.
"""

from __future__ import annotations

from copy import copy

import torch

from explorer.inference.llm_layers import (
    OF_LAST_LAYER,
    ForwardState,
    SignalRecorder,
    pack_by_length,
    record_qk,
    run_layer,
)
from explorer.inference.prefill import PruningPlan, prune
from explorer.inference.sequence import Prompt, Sequence, StageOutcome
from explorer.vlm.components import Decoder


class SharedPrefix:
    """The untouched prompt on its way through the layers, as far as anybody asked.

    needs: what is noted on the way, for all scouts alike.
    """

    def __init__(self, decoder: Decoder, prompt: Prompt, needs: frozenset[str]):
        self.decoder = decoder
        self._hear = record_qk if needs & OF_LAST_LAYER else None
        self._stations = [ForwardState(Sequence(prompt), SignalRecorder(needs, prompt))]

    def at(self, layer: int) -> ForwardState:
        """Give the walk as it is before a layer; it is the caller's own."""
        while len(self._stations) <= layer:
            walk = _copy(self._stations[-1])
            self.go([walk], len(self._stations) - 1)
            self._stations.append(walk)
        return _copy(self._stations[layer])

    def go(self, walks: list[ForwardState], layer: int) -> None:
        """Let walks pass one layer; no cache, and no listening where nobody needs it."""
        for pack in pack_by_length(walks, lambda walk: walk.length):
            run_layer(self.decoder.body.layers[layer], pack, self.decoder.body, self._hear)


def _copy(walk: ForwardState) -> ForwardState:
    watch = copy(walk.watch)
    watch.transitions = list(watch.transitions)
    return ForwardState(
        copy(walk.sequence), watch
    )  # both replace their tensors, never write into them


@torch.no_grad()
def dry_run(trunk: SharedPrefix, plans: list[PruningPlan]) -> list[list[StageOutcome]]:
    """Follow the stages of plans and tell their outcomes; layers behind the last don't run."""
    stages = [{stage.layer: stage for stage in plan.stages} for plan in plans]
    first, last = min(map(min, stages)), max(map(max, stages))
    walks: dict[int, ForwardState] = {}
    outcomes: list[list[StageOutcome]] = [[] for _ in plans]
    for layer in range(first, last + 1):
        for number, (plan, at) in enumerate(zip(plans, stages, strict=True)):
            if layer == min(at):
                walks[number] = trunk.at(layer)
            if layer in at:
                outcome, _ = prune(trunk.decoder, walks[number], plan, at[layer])
                outcomes[number].append(outcome)
            if layer == max(at):
                del walks[number]
        trunk.go(list(walks.values()), layer)
    return outcomes
