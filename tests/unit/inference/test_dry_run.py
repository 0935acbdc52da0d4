"""A scout finds the same tokens as a run that answers, however often its trunk is used."""

from __future__ import annotations

import pytest
import torch
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.inference import llm_layers
from explorer.inference.dry_run import SharedPrefix, dry_run
from explorer.inference.layer_signals import OF_LAST_LAYER, OF_MODULES, OF_NEXT_LAYER
from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.signals import Kept, Signals, Stage, top

NEEDS = OF_LAST_LAYER | OF_NEXT_LAYER | OF_MODULES


def choose(signals: Signals, stage: Stage) -> Kept:
    """A choice that depends on all that can be seen inside."""
    if signals.last_attention is None:
        return Kept(torch.arange(signals.count)[::2][: stage.keep])
    last = signals.transitions[-1]
    score = signals.last_attention.mean(0) + signals.visual_attention.mean(0)
    score = (
        score
        + last.ratio.sum(0)[last.visual]
        + signals.neurons.values[signals.neurons.visual].sum(1)
    )
    return Kept(top(score, stage.keep))


PLANS = [
    PruningPlan((Stage(2, 9),), choose, NEEDS),
    PruningPlan((Stage(2, 9), Stage(4, 3)), choose, NEEDS, renumber=True),
    PruningPlan((Stage(1, 12), Stage(3, 2)), choose, NEEDS),
    PruningPlan((Stage(0, 6), Stage(3, 2)), choose, NEEDS),
    PruningPlan((Stage(2, 5),), choose, NEEDS),
]


@pytest.mark.parametrize("at_once", [1000, 30, 1])
def test_scouts_on_one_trunk_find_what_full_runs_find(at_once, monkeypatch):
    monkeypatch.setattr(llm_layers, "MAX_PACKED_TOKENS", at_once)
    decoder, prompt = taken_apart(tiny_llama()), random_prompt()
    trunk = SharedPrefix(decoder, prompt, NEEDS)
    for plan, found in zip(PLANS * 2, dry_run(trunk, PLANS * 2), strict=True):
        expected = prefill(decoder, prompt, plan).outcomes
        assert [o.stage for o in found] == list(plan.stages)
        for ours, own in zip(found, expected, strict=True):
            assert torch.equal(ours.alive_index, own.alive_index)
            assert torch.equal(ours.source_index, own.source_index)
            assert torch.equal(ours.alive_index_before, own.alive_index_before)


def test_layers_are_walked_once_and_not_beyond_the_last_stage():
    decoder, walked = taken_apart(tiny_llama()), []
    for index, layer in enumerate(decoder.body.layers):
        layer.register_forward_hook(lambda *_, index=index: walked.append(index))
    trunk = SharedPrefix(decoder, random_prompt(), frozenset())

    def first(signals: Signals, stage: Stage) -> Kept:
        return Kept(torch.arange(stage.keep))

    for keep in (9, 5, 2):
        dry_run(trunk, [PruningPlan((Stage(2, keep), Stage(3, 1)), first)])
    assert walked == [0, 1, 2, 2, 2]


def test_who_looks_after_an_answer_finds_its_layers_walked():
    decoder, prompt, walked = taken_apart(tiny_llama()), random_prompt(), []
    needs = OF_LAST_LAYER | OF_NEXT_LAYER

    def choice(signals: Signals, stage: Stage) -> Kept:
        return Kept(top(signals.tail_attention.mean((0, 1)), stage.keep))

    plans = [PruningPlan((Stage(layer, 5),), choice, needs) for layer in (1, 3)]
    expected = dry_run(SharedPrefix(decoder, prompt, frozenset()).seen_by(prompt, needs), plans)
    plain = prefill(decoder, prompt)
    for layer in decoder.body.layers:
        layer.register_forward_hook(lambda *_: walked.append(1))
    prefix = SharedPrefix(decoder, prompt, frozenset())
    assert torch.equal(prefix.prefill().logits, plain.logits)
    found = dry_run(prefix.seen_by(prompt, needs), plans)
    assert len(walked) == len(decoder.body.layers)
    for [ours], [own] in zip(found, expected, strict=True):
        assert torch.equal(ours.alive_index, own.alive_index)


def test_methods_share_the_layers_until_their_first_token_leaves():
    decoder, walked = taken_apart(tiny_llama()), []
    for index, layer in enumerate(decoder.body.layers):
        layer.register_forward_hook(lambda *_, index=index: walked.append(index))
    prompt, seen = random_prompt(), []
    n = len(prompt.visual_positions)
    trunk = SharedPrefix(decoder, prompt, frozenset())

    def everybody(signals: Signals, stage: Stage) -> Kept:
        seen.append(signals.last_attention is not None)
        return Kept(torch.arange(stage.keep))

    for needs in (frozenset(), frozenset({"last_attention"})):
        plan = PruningPlan((Stage(1, n), Stage(3, n), Stage(4, 2)), everybody, needs)
        [found] = dry_run(trunk.seen_by(prompt, needs), [plan])
        assert [int((o.alive_index >= 0).sum()) for o in found] == [n, n, 2]
    assert walked == [0, 1, 2, 3]
    assert seen == [False] * 3 + [True] * 3
