"""Several runs side by side answer as each of them does alone."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.inference.batch import DecodeBatch
from explorer.inference.decode import (
    DecodeLoop,
    Step,
    decode,
    decode_together,
    teacher_force,
    teacher_force_together,
)
from explorer.inference.prefill import KEEP_ALL, PrefillRun, PruningPlan, prefill, prefill_together
from explorer.methods.signals import Kept, Signals, Stage

N = 16


def first(signals: Signals, stage: Stage) -> Kept:
    return Kept(torch.arange(signals.count)[: stage.keep])


def last(signals: Signals, stage: Stage) -> Kept:
    return Kept(torch.arange(signals.count)[-stage.keep :])


def merging(signals: Signals, stage: Stage) -> Kept:
    """Keep the first, and fold all others into one."""
    group = torch.zeros(signals.count, dtype=torch.long)
    group[: stage.keep] = -1
    merged = signals.features[stage.keep :].mean(0, keepdim=True)
    return Kept(torch.arange(stage.keep), merged=merged, group=group)


PLANS = [
    KEEP_ALL,
    PruningPlan((Stage(0, 4),), first, renumber=True),
    PruningPlan((Stage(0, 9),), last),
    PruningPlan((Stage(2, 3),), last),
    PruningPlan((Stage(0, 12), Stage(2, 5), Stage(4, 1)), first, renumber=True),
    PruningPlan((Stage(3, 0, optional=True),), lambda *_: Kept(torch.arange(0))),
]


def runs(kv_heads: int, eos: frozenset[int] = frozenset()) -> list[PrefillRun]:
    """Runs that hold different numbers of tokens, with and without renumbered positions."""
    decoder = taken_apart(tiny_llama(kv_heads), eos)
    return [prefill(decoder, random_prompt(visual=N), plan) for plan in PLANS]


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_each_answers_as_if_alone(kv_heads):
    together: list[list] = [[] for _ in PLANS]
    joined = runs(kv_heads)
    for said in decode_together(joined, 6):
        for number, step in said:
            together[number].append(step)
    for number, (run, own) in enumerate(zip(joined, runs(kv_heads), strict=True)):
        alone = list(decode(own, 6))
        assert [s.token for s in together[number]] == [s.token for s in alone]
        for ours, expected in zip(together[number], alone, strict=True):
            assert torch.allclose(ours.logits, expected.logits, atol=2e-5)
            assert ours.probability == pytest.approx(expected.probability, abs=1e-5)
        assert run.n_answer_tokens == own.n_answer_tokens == 6
        assert torch.allclose(run.attention_mass, own.attention_mass, atol=1e-5)


def test_a_row_that_has_ended_leaves_the_others_alone():
    plain = [[step.token for step in decode(run, 6)] for run in runs(4)]
    eos = frozenset({plain[0][2], plain[3][1]})
    said: list[list[int]] = [[] for _ in PLANS]
    joined = runs(4, eos)
    for steps in decode_together(joined, 6):
        for number, step in steps:
            said[number].append(step.token)
    for number, tokens in enumerate(plain):
        ends = [i for i, token in enumerate(tokens) if token in eos]
        assert said[number] == (tokens[: ends[0] + 1] if ends else tokens)
        assert joined[number].n_answer_tokens == len(said[number])
    assert len({len(tokens) for tokens in said}) > 1, "they end at different steps"


def test_given_answers_meet_the_same_logits_side_by_side():
    answers = [[5, 9, 11, 7], [3], [5, 9, 11, 7, 2, 4], [8, 8], [1, 2, 3], [6, 6, 6, 6]]
    joined = teacher_force_together(DecodeBatch(runs(2)), answers)
    for logits, tokens, own in zip(joined, answers, runs(2), strict=True):
        assert len(logits) == len(tokens)
        assert torch.allclose(logits, teacher_force(own, tokens), atol=2e-5)


def test_meeting_an_answer_leaves_no_trace():
    batch, plain = (
        DecodeBatch(runs(4)),
        [[step.token for step in decode(run, 40)] for run in runs(4)],
    )
    teacher_force_together(batch, [[5, 9, 11, 7]] * len(PLANS))
    loop = DecodeLoop(40)
    loop.add(batch)
    said = run_to_end(loop)
    assert [[step.token for step in said[number]] for number in range(len(PLANS))] == plain


def run_to_end(
    loop: DecodeLoop, said: dict[int, list[Step]] | None = None
) -> dict[int, list[Step]]:
    """Let everybody speak until nobody has anything to say."""
    said = {} if said is None else said
    while steps := loop.step():
        for number, step in steps:
            said.setdefault(number, []).append(step)
    return said


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_who_joins_later_answers_as_if_alone(kv_heads):
    plain = [list(decode(run, 8)) for run in runs(kv_heads)]
    eos = frozenset({plain[0][5].token, plain[3][1].token, plain[4][2].token})
    ends = [
        next((i + 1 for i, step in enumerate(steps) if step.token in eos), 8) for steps in plain
    ]
    loop, later, said = DecodeLoop(8), runs(kv_heads, eos), {}
    for some in ([0, 1], [2, 3], [4, 5]):
        assert list(loop.add(DecodeBatch([later[number] for number in some]))) == some
        for _ in range(3):
            for number, step in loop.step():
                said.setdefault(number, []).append(step)
    run_to_end(loop, said)
    assert len(set(ends)) > 2, "they end at different steps"
    for number, (run, steps, end) in enumerate(zip(later, plain, ends, strict=True)):
        assert [s.token for s in said[number]] == [s.token for s in steps[:end]]
        for ours, expected in zip(said[number], steps, strict=False):
            assert torch.allclose(ours.logits, expected.logits, atol=2e-5)
        own = runs(kv_heads)[number]
        list(decode(own, end))
        assert run.n_answer_tokens == own.n_answer_tokens == end
        assert torch.allclose(run.attention_mass, own.attention_mass, atol=1e-5)


def test_answering_twice_starts_anew():
    [run, *_] = runs(4)
    once, mass = [step.token for step in decode(run, 5)], run.attention_mass
    assert [step.token for step in decode(run, 5)] == once
    assert torch.equal(run.attention_mass, mass) and run.n_answer_tokens == 5


def test_the_caches_of_joined_runs_stay_their_own():
    joined = runs(4)
    lengths = [[run.cache.get_seq_length(i) for i in range(6)] for run in joined]
    list(decode_together(joined, 4))
    assert [[run.cache.get_seq_length(i) for i in range(6)] for run in joined] == lengths


MERGING = PruningPlan((Stage(0, 3, merge=1), Stage(2, 2, merge=1)), merging, renumber=True)


WIPING = PruningPlan((Stage(2, 3, wipe_cache=True), Stage(4, 2, wipe_cache=True)), last)


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("one", [False, True], ids=["prompts of their own", "one prompt"])
def test_prompts_pass_together_as_if_alone(kv_heads, one):
    plans = [*PLANS, MERGING, WIPING]
    decoder, prompts = taken_apart(tiny_llama(kv_heads)), [random_prompt(visual=N) for _ in plans]
    if one:
        prompts = prompts[:1] * len(plans)
    joined = prefill_together(decoder, list(zip(prompts, plans, strict=True)))
    for run, prompt, plan in zip(joined, prompts, plans, strict=True):
        own = prefill(decoder, prompt, plan)
        assert torch.allclose(run.logits, own.logits, atol=2e-5)
        assert torch.allclose(run.attention_mass, own.attention_mass, atol=1e-5)
        for name in ("next_position", "n_visual", "cached_visual", "length", "position_axes"):
            assert getattr(run, name) == getattr(own, name)
        assert all(
            torch.equal(a, b)
            for a, b in zip(run.text_visual_mask, own.text_visual_mask, strict=True)
        )
        for ours, theirs in zip(run.outcomes, own.outcomes, strict=True):
            assert torch.equal(ours.alive_index, theirs.alive_index)
        for ours, theirs in zip(run.cache.layers, own.cache.layers, strict=True):
            assert torch.allclose(ours.keys, theirs.keys, atol=2e-5)
        assert [s.token for s in decode(run, 6)] == [s.token for s in decode(own, 6)]
        assert math.isnan(run.prefill_seconds), "shared with the others"


def test_runs_of_one_prompt_pass_the_layers_once_in_which_they_are_alike():
    model = tiny_llama(4)
    decoder, prompt, passed = taken_apart(model), random_prompt(visual=N), []
    for layer in decoder.body.layers:
        layer.self_attn.q_proj.register_forward_hook(
            lambda module, inputs, output: passed.append(inputs[0].shape[1])
        )
    late = PruningPlan((Stage(2, 3),), last)
    S = prompt.inputs_embeds.shape[1]
    prefill_together(decoder, [(prompt, plan) for plan in (KEEP_ALL, WIPING, late, late)])
    text = S - N
    assert passed == [S, S, *[S + 2 * (3 + text)] * 4]
