"""Find out which tokens stay at which stage, without answering: for maps, which need many runs.

A `SharedPrefix` takes the untouched prompt through the layers once, or looks on while it is
answered; every plan starts from where its first token leaves. Knows stages and layers; not methods,
pictures or words.
"""

from __future__ import annotations

import threading
from copy import copy

import torch

from explorer.inference.layer_signals import (
    OF_LAST_LAYER,
    OF_MODULES,
    OF_VALUES,
    SignalRecorder,
)
from explorer.inference.llm_layers import ForwardState, pack_by_length, record_qk, run_layer
from explorer.inference.prefill import PrefillRun, PruningPlan, prefill, prune
from explorer.inference.sequence import Prompt, Sequence, StageOutcome
from explorer.methods.signals import Signals
from explorer.vlm.components import Decoder


class SharedPrefix:
    """The untouched prompt before every layer, as far as any plan has needed it.

    needs: what plans look at. Layers run once for all that share it, whichever thread asks.
    """

    def __init__(self, decoder: Decoder, prompt: Prompt, needs: frozenset[str]):
        self.decoder = decoder
        self._prompt, self._needs = prompt, needs
        # what lies between two layers anyway is kept for methods that will look at it
        recorder = SignalRecorder(OF_LAST_LAYER | OF_VALUES | needs & OF_MODULES, prompt)
        self._before = [ForwardState(Sequence(prompt), recorder)]
        self._lock = threading.Lock()

    def seen_by(self, prompt: Prompt, needs: frozenset[str]) -> SharedPrefix:
        """Give the same layers for a method that looks at other signals of the same tokens.

        What modules do has to have been among the needs from the beginning.
        """
        other = copy(self)
        other._prompt, other._needs = prompt, needs
        return other

    def prefill(self) -> PrefillRun:
        """Prefill the untouched prompt, to be answered from; no layer of it has to run again."""
        found = [self._before[0]]
        plan = PruningPlan(needs=self._before[0].recorder.needs - OF_MODULES)
        run = prefill(
            self.decoder, self._prompt, plan, behind=lambda state: found.append(_copy(state))
        )
        with self._lock:
            self._before[:] = found
        return run

    def before(self, layer: int) -> ForwardState:
        """Give the state as it is before a layer; it is the caller's own."""
        with self._lock:
            while len(self._before) <= layer:
                state = _copy(self._before[-1])
                self.run_layer([state], len(self._before) - 1)
                self._before.append(state)
        state = _copy(self._before[layer])
        state.recorder.prompt, state.recorder.needs = self._prompt, self._needs
        return state

    @torch.no_grad()
    def signals(self, layer: int) -> Signals:
        """Give what a method sees before a layer when nothing has been dropped."""
        if layer == 0:
            return self._prompt.signals
        state = self.before(layer)
        return state.recorder.signals(state.sequence, self.decoder.body, layer)

    def run_layer(self, states: list[ForwardState], layer: int) -> None:
        """Pass states through one layer; without a cache, and recording only what is needed."""
        body = self.decoder.body
        for pack in pack_by_length(states, lambda state: state.length):
            looked_at = any(state.recorder.needs & OF_LAST_LAYER for state in pack)
            run_layer(body.layers[layer], pack, body, record_qk if looked_at else None)

    def is_untouched(self, state: ForwardState, layer: int) -> bool:
        """Tell whether a state before a layer is still what the untouched prompt is there."""
        own, first = state.sequence, self._before[layer].sequence
        return (
            own.attention_bias is None
            and torch.equal(own.position_ids, first.position_ids)
            and torch.equal(own.hidden_states, first.hidden_states)
        )


def _copy(state: ForwardState) -> ForwardState:
    """Copy a state but not its tensors: sequence and recorder replace them, never write to them."""
    recorder = copy(state.recorder)
    recorder.transitions = list(recorder.transitions)
    return ForwardState(copy(state.sequence), recorder)


@torch.no_grad()
def dry_run(prefix: SharedPrefix, plans: list[PruningPlan]) -> list[list[StageOutcome]]:
    """Run the stages of plans and give their outcomes; layers behind the last stage don't run.

    Until its first token leaves, a plan is where the untouched prompt is, and runs no layer.
    """
    stages = [{stage.layer: stage for stage in plan.stages} for plan in plans]
    first, last = min(map(min, stages)), max(map(max, stages))
    pruned: dict[int, ForwardState] = {}
    outcomes: list[list[StageOutcome]] = [[] for _ in plans]
    for layer in range(first, last + 1):
        for number, (plan, by_layer) in enumerate(zip(plans, stages, strict=True)):
            if layer not in by_layer:
                continue
            whole, ends = number not in pruned, layer == max(by_layer)
            state = prefix.before(layer) if whole else pruned.pop(number)
            outcome, _ = prune(prefix.decoder, state, plan, by_layer[layer], ends)
            outcomes[number].append(outcome)
            if not ends and not (whole and prefix.is_untouched(state, layer)):
                pruned[number] = state
        prefix.run_layer(list(pruned.values()), layer)
    return outcomes
