"""Find out who stays at which stage, without answering: for maps, which need many such runs.

A `Trunk` walks the untouched prompt through the first layers once; every scout starts from where
its first stage is. Knows stages and layers; not methods, pictures or words.
"""

from __future__ import annotations

from copy import copy

import torch

from explorer.engine import Outcome, Plan, Prompt, prune
from explorer.families.parts import Decoder
from explorer.inner import OF_LAST_LAYER, Watch, through
from explorer.sequence import Sequence


class Trunk:
    """The untouched prompt on its way through the layers, as far as anybody asked.

    needs: what is noted on the way, for all scouts alike.
    """

    def __init__(self, decoder: Decoder, prompt: Prompt, needs: frozenset[str]):
        self.decoder = decoder
        self.hears = bool(needs & OF_LAST_LAYER)
        self._stations = [(Sequence(prompt), Watch(needs, prompt))]

    def at(self, layer: int) -> tuple[Sequence, Watch]:
        """Give sequence and notes as they are before a layer; they are the caller's own."""
        while len(self._stations) <= layer:
            sequence, watch = self._copy(-1)
            self.walk(sequence, watch, len(self._stations) - 1)
            self._stations.append((sequence, watch))
        return self._copy(layer)

    def _copy(self, station: int) -> tuple[Sequence, Watch]:
        sequence, watch = self._stations[station]
        watch = copy(watch)
        watch.transitions = list(watch.transitions)
        return copy(sequence), watch  # both replace their tensors and never write into them

    def walk(self, sequence: Sequence, watch: Watch, layer: int) -> None:
        """Let a sequence pass one layer; no cache, and no listening where nobody needs it."""
        body = self.decoder.body
        hear = watch.hear if self.hears else None
        through(body.layers[layer], sequence, body, watch, hear=hear)


@torch.no_grad()
def scout(trunk: Trunk, plan: Plan) -> list[Outcome]:
    """Follow a plan's stages and tell their outcomes; layers behind the last stage don't run."""
    at = {stage.layer: stage for stage in plan.stages}
    sequence, watch = trunk.at(min(at))
    outcomes = []
    for layer in range(min(at), max(at) + 1):
        if layer in at:
            outcome, _ = prune(trunk.decoder, sequence, plan, at[layer], watch)
            outcomes.append(outcome)
        if layer < max(at):
            trunk.walk(sequence, watch, layer)
    return outcomes
