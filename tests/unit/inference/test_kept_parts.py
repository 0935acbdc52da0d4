"""What a stage may do beside keeping tokens, against masked references and runs from the start."""

from __future__ import annotations

import pytest
import torch
from tiny_models import random_prompt, taken_apart, tiny_llama
from torch import Tensor
from transformers import DynamicCache

from explorer.cases.method_maps import stage_map
from explorer.inference.decode import decode, decode_together, teacher_force
from explorer.inference.prefill import PrefillRun, PruningPlan, prefill, prefill_together
from explorer.methods.signals import Kept, Signals, Stage

KV_HEADS = pytest.mark.parametrize("kv_heads", [4, 2])
GROUP = torch.tensor([0, 0, -1, -1, 1, -1, 2, 2, -1, 1, 1, -1, 2, -1, -1, -1])
CENTRE = torch.tensor([0, 4, 7])
KEPT = torch.tensor([2, 5, 13])
IN_ORDER = [0, 2, 4, 5, 7, 13]  # who stands where, kept and centres alike
WEIGHT = torch.tensor([1.0, 1, 1, 2, 3, 3])


def said(run: PrefillRun, steps: int = 6) -> tuple[list[int], Tensor]:
    answer = list(decode(run, steps))
    return [step.token for step in answer], torch.stack([step.logits for step in answer])


def merged(features: Tensor) -> Tensor:
    return torch.stack([features[group == GROUP].mean(0) for group in range(3)])


def plan_with(layer: int, renumber: bool = False, **more: object) -> PruningPlan:
    def choose(signals: Signals, stage: Stage) -> Kept:
        return Kept(KEPT, merged(signals.features), GROUP, centre=CENTRE, **more)

    return PruningPlan((Stage(layer, 3, 3),), choose, renumber=renumber)


@torch.no_grad()
def eager_reference(
    model, prompt, layer: int, tokens: list[int], log_weight=None, first=None, distance=None
) -> Tensor:
    """Logits of a run by eager attention in which who left is hidden and weights are in the mask.

    log_weight, first [16]: what is added to the columns of the picture's tokens behind the stage,
    `first` in the first such layer; distance: added to the rows of the prompt.
    """
    body, low = model.get_decoder(), torch.finfo(torch.float32).min
    visual, S = prompt.visual_positions, prompt.inputs_embeds.shape[1]
    x = torch.cat([prompt.inputs_embeds, body.embed_tokens(torch.tensor([tokens]))], 1)
    n = x.shape[1]
    place = torch.arange(n)
    causal = torch.full((n, n), low).triu(1)
    for index, decoder_layer in enumerate(body.layers):
        if index == layer:
            x = x.clone()
            x[0, visual[CENTRE]] = merged(x[0, visual])
        mask = causal.clone()
        if index >= layer:
            gone = torch.ones(n, dtype=torch.bool)
            gone[torch.arange(n) < visual[0]] = False
            gone[torch.arange(n) > visual[-1]] = False
            gone[visual[IN_ORDER]] = False
            if log_weight is not None:
                mask[:, visual] += first if index == layer and first is not None else log_weight
            if distance is not None:
                mask[:S] += distance(place[:S, None] - place)
            mask = mask.masked_fill(gone, low).masked_fill(torch.eye(n, dtype=torch.bool), 0)
            own = torch.zeros(n)
            if log_weight is not None:
                own[visual] = first if index == layer and first is not None else log_weight
            if distance is not None:
                own[:S] += distance(torch.zeros(S))
            mask = mask + torch.diag(own)
        cos_sin = body.rotary_emb(x, place[None])
        x = decoder_layer(
            x,
            attention_mask=mask.clamp(min=low)[None, None],
            position_embeddings=cos_sin,
            cache=DynamicCache(),
        )
    return model.lm_head(body.norm(x))[0, S - 1 : -1]


def columns(weight: Tensor) -> Tensor:
    """Weights of kept and merged tokens as logarithms at the picture's tokens, [16]."""
    placed = torch.zeros(16)
    placed[KEPT], placed[CENTRE] = weight[:3].log(), weight[3:].log()
    return placed


@KV_HEADS
@pytest.mark.parametrize("layer", [0, 2])
def test_a_merged_token_stands_at_its_centre(kv_heads, layer):
    model, prompt = tiny_llama(kv_heads), random_prompt()
    run = prefill(taken_apart(model), prompt, plan_with(layer))
    tokens, logits = said(run)
    [outcome] = run.outcomes
    assert outcome.source_index.tolist() == IN_ORDER
    assert outcome.alive_index.tolist() == [0, 0, 1, -1, 2, 3, 4, 4, -1, 2, 2, -1, 4, 5, -1, -1]
    told = stage_map(outcome)
    assert told.kept.tolist() == IN_ORDER
    assert told.fate.tolist() == [0, 1, 0, -1, 0, 0, 3, 0, -1, 2, 2, -1, 3, 0, -1, -1]
    assert told.centres == (0, 4, 7)
    assert told.merged == 0, "each stands at the place of one that counts as kept"
    eager = tiny_llama(kv_heads, attention="eager")
    assert (logits - eager_reference(eager, prompt, layer, tokens)).abs().max() < 5e-5


@KV_HEADS
@pytest.mark.parametrize("layer", [0, 2])
def test_weights_and_distances_equal_an_eager_mask(kv_heads, layer):
    model, prompt = tiny_llama(kv_heads), random_prompt()
    eager = tiny_llama(kv_heads, attention="eager")
    first = torch.full((6,), 16 / 6)

    def distance(d: Tensor) -> Tensor:
        return (2 - torch.cos(d / 5.0)).log()

    plain = said(prefill(taken_apart(model), prompt, plan_with(layer)))[1][0]
    for given, reference in (
        ({"weight": WEIGHT}, {"log_weight": columns(WEIGHT)}),
        (
            {"weight": WEIGHT, "first_weight": first, "distance_bias": distance},
            {"log_weight": columns(WEIGHT), "first": columns(first), "distance": distance},
        ),
    ):
        run = prefill(taken_apart(model), prompt, plan_with(layer, **given))
        tokens, logits = said(run)
        expected = eager_reference(eager, prompt, layer, tokens, **reference)
        assert (logits - expected).abs().max() < 5e-5
        assert (logits[0] - plain).abs().max() > 1e-2, "nothing was added: the test is vacuous"
        assert torch.allclose(teacher_force(run, tokens), logits, atol=2e-5)


def test_who_has_weights_passes_beside_who_has_none():
    model, prompt = tiny_llama(2), random_prompt()
    plans = [plan_with(2, weight=WEIGHT), plan_with(2), plan_with(0, weight=WEIGHT)]
    alone = [said(prefill(taken_apart(model), prompt, plan)) for plan in plans]
    runs = prefill_together(taken_apart(model), [(prompt, plan) for plan in plans])
    logits = [[] for _ in runs]
    for steps in decode_together(runs, 6):
        for number, step in steps:
            logits[number].append(step.logits)
    for own, (_, expected) in zip(logits, alone, strict=True):
        assert (torch.stack(own) - expected).abs().max() < 2e-5


def test_later_signals_are_those_of_the_weighted_attention():
    prompt, seen, layer = random_prompt(), {}, 3
    needs = frozenset({"last_attention", "next_last_attention"})

    def choose(signals: Signals, stage: Stage) -> Kept:
        if stage.layer == layer:
            seen["signals"] = signals
            return Kept(torch.arange(signals.count))
        return Kept(KEPT, merged(signals.features), GROUP, centre=CENTRE, weight=WEIGHT)

    plan = PruningPlan((Stage(2, 3, 3), Stage(layer, 6)), choose, needs)
    run = prefill(taken_apart(tiny_llama()), prompt, plan)
    ours = float(seen["signals"].last_attention.mean(0).sum())
    assert ours == pytest.approx(float(run.prompt_attention_mass[2, 1]), abs=1e-6)
    ours = float(seen["signals"].next_last_attention.mean(0).sum())
    assert ours == pytest.approx(float(run.prompt_attention_mass[3, 1]), abs=1e-6)


@torch.no_grad()
def cut_by_hand(model, prompt, stays: list[int], layers: range, tokens, own) -> Tensor:
    """Hugging Face's prefill with everything, caches cut between it and its decoding."""
    body, cache, S = model.get_decoder(), DynamicCache(config=model.config), 0
    x = prompt.inputs_embeds
    S = x.shape[1]
    logits = [model(inputs_embeds=x, cache=cache, use_cache=True).logits[0, -1]]
    gone = set(prompt.visual_positions.tolist()) - {int(prompt.visual_positions[i]) for i in stays}
    index = [i for i in range(S) if i not in gone]
    for layer in layers:
        cached = cache.layers[layer]
        cached.keys, cached.values = cached.keys[:, :, index], cached.values[:, :, index]
    for step, token in enumerate(tokens[:-1]):
        x = body.embed_tokens(torch.tensor([[token]]))
        for number, layer in enumerate(body.layers):
            at = len(index) if own and number in layers else S
            cos_sin = body.rotary_emb(x, torch.tensor([[at + step]]))
            x = layer(x, position_embeddings=cos_sin, cache=cache, use_cache=True)
        logits.append(model.lm_head(body.norm(x))[0, -1])
    return torch.stack(logits)


@KV_HEADS
@pytest.mark.parametrize("own", [False, True])
def test_cut_caches_hold_the_tokens_that_stay_alone(kv_heads, own):
    model, prompt, stays = tiny_llama(kv_heads), random_prompt(), [1, 4, 9]
    # in the last layer, behind which nobody looks at more than the last token of the prompt
    stages = (Stage(5, 16), Stage(6, 3, cut_from=2, cut_positions=own))

    def choose(signals: Signals, stage: Stage) -> Kept:
        return Kept(torch.tensor(stays) if stage.layer == 6 else torch.arange(16))

    run = prefill(taken_apart(model), prompt, PruningPlan(stages, choose))
    assert [run.cache.get_seq_length(layer) for layer in range(6)] == [28, 28, 15, 15, 15, 15]
    assert run.length == [28] * 6
    tokens, logits = said(run)
    plain = tiny_llama(kv_heads, attention="sdpa")
    expected = cut_by_hand(plain, prompt, stays, range(2, 6), tokens, own)
    assert (logits - expected).abs().max() < 5e-5
    assert torch.allclose(teacher_force(run, tokens), logits, atol=2e-5)


def test_caches_are_cut_to_merged_tokens_that_are_still_alive():
    prompt = random_prompt()

    def choose(signals: Signals, stage: Stage) -> Kept:
        if stage.layer == 2:
            return Kept(KEPT, merged(signals.features), GROUP, centre=CENTRE)
        return Kept(torch.tensor([1, 2]))  # a kept one and a merged one

    plan = PruningPlan((Stage(2, 3, 3), Stage(4, 2, cut_from=1)), choose)
    run = prefill(taken_apart(tiny_llama()), prompt, plan)
    assert run.length == [28, 28, 18, 18, 14, 14]
    assert run.cached_length == [28, 13, 14, 14, 14, 14]
    said(run)
    assert run.attention_mass.isfinite().all()


def test_kept_tokens_may_change():
    model, prompt = tiny_llama(), random_prompt(before=3, visual=4, after=2)
    changed = torch.randn(2, 32)
    kept = Kept(torch.tensor([1, 3]), features=changed)
    run = prefill(taken_apart(model), prompt, PruningPlan((Stage(0, 2),), lambda *_: kept))
    x = prompt.inputs_embeds.clone()
    x[0, 3:7][[1, 3]] = changed
    by_hand = x[:, [0, 1, 2, 4, 6, 7, 8]]
    position_ids = torch.tensor([[0, 1, 2, 4, 6, 7, 8]])
    own = model(inputs_embeds=by_hand, position_ids=position_ids).logits[0, -1]
    assert (run.logits - own).abs().max() <= 1e-5
    assert run.outcomes[0].source_index.tolist() == [1, 3]


@pytest.mark.parametrize("renumber", [False, True])
def test_merged_tokens_alone_stand_in_any_order(renumber):
    model, prompt = tiny_llama(), random_prompt(before=3, visual=5, after=2)
    new, group = torch.randn(3, 32), torch.tensor([2, 1, 2, 0, 2])
    kept = Kept(torch.tensor([]).long(), new, group, centre=torch.tensor([3, 1, -1]))
    plan = PruningPlan((Stage(0, 0, 3),), lambda *_: kept, renumber=renumber)
    run = prefill(taken_apart(model), prompt, plan)
    [outcome] = run.outcomes
    assert outcome.source_index.tolist() == [3, 1, -1]
    told = stage_map(outcome)
    assert told.fate.tolist() == [1, 0, 1, 0, 1] and told.centres == (-1,) and told.extra == 0
    embeds = prompt.inputs_embeds
    by_hand = torch.cat([embeds[:, :3], new[None], embeds[:, 8:]], 1)
    # at the places of their centres, and in the middle of 0, 2 and 4
    places = range(8) if renumber else [0, 1, 2, 6, 4, 5, 8, 9]
    own = model(inputs_embeds=by_hand, position_ids=torch.tensor([list(places)])).logits[0, -1]
    assert (run.logits - own).abs().max() <= 1e-5
