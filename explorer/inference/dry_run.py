"""Find out which tokens stay at which stage, without answering: for maps, which need many runs.

A `SharedPrefix` takes the untouched prompt through the first layers once; every plan starts from
where its first stage is. Knows stages and layers; not methods, pictures or words.
"""

from __future__ import annotations

from copy import copy

import torch

from explorer.inference.layer_signals import OF_LAST_LAYER, SignalRecorder
from explorer.inference.llm_layers import ForwardState, pack_by_length, record_qk, run_layer
from explorer.inference.prefill import PruningPlan, prune
from explorer.inference.sequence import Prompt, Sequence, StageOutcome
from explorer.vlm.components import Decoder


class SharedPrefix:
    """The untouched prompt before every layer, as far as any plan has needed it.

    needs: what is recorded on the way, for all plans alike.
    """

    def __init__(self, decoder: Decoder, prompt: Prompt, needs: frozenset[str]):
        self.decoder = decoder
        self._on_qk = record_qk if needs & OF_LAST_LAYER else None
        self._before = [ForwardState(Sequence(prompt), SignalRecorder(needs, prompt))]

    def before(self, layer: int) -> ForwardState:
        """Give the state as it is before a layer; it is the caller's own."""
        while len(self._before) <= layer:
            state = _copy(self._before[-1])
            self.run_layer([state], len(self._before) - 1)
            self._before.append(state)
        return _copy(self._before[layer])

    def run_layer(self, states: list[ForwardState], layer: int) -> None:
        """Pass states through one layer; without a cache, and recording only what is needed."""
        body = self.decoder.body
        for pack in pack_by_length(states, lambda state: state.length):
            run_layer(body.layers[layer], pack, body, self._on_qk)


def _copy(state: ForwardState) -> ForwardState:
    """Copy a state but not its tensors: sequence and recorder replace them, never write to them."""
    recorder = copy(state.recorder)
    recorder.transitions = list(recorder.transitions)
    return ForwardState(copy(state.sequence), recorder)


@torch.no_grad()
def dry_run(prefix: SharedPrefix, plans: list[PruningPlan]) -> list[list[StageOutcome]]:
    """Run the stages of plans and give their outcomes; layers behind the last stage don't run."""
    stages = [{stage.layer: stage for stage in plan.stages} for plan in plans]
    first, last = min(map(min, stages)), max(map(max, stages))
    states: dict[int, ForwardState] = {}
    outcomes: list[list[StageOutcome]] = [[] for _ in plans]
    for layer in range(first, last + 1):
        for number, (plan, by_layer) in enumerate(zip(plans, stages, strict=True)):
            if layer == min(by_layer):
                states[number] = prefix.before(layer)
            if layer in by_layer:
                outcome, _ = prune(prefix.decoder, states[number], plan, by_layer[layer])
                outcomes[number].append(outcome)
            if layer == max(by_layer):
                del states[number]
        prefix.run_layer(list(states.values()), layer)
    return outcomes
