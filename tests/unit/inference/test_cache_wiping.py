"""Blank stages, which wipe the cache, and decoding with fewer neurons, against plain models."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tiny_models import random_prompt, taken_apart, tiny_llama
from transformers import DynamicCache

from explorer import analyses
from explorer.cases.case import open_case
from explorer.cases.method_maps import alive, plan_of
from explorer.cases.request import CaseRequest
from explorer.inference.decode import decode, decode_together, teacher_force
from explorer.inference.dry_run import SharedPrefix, dry_run
from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods import catalog
from explorer.methods.catalog import title
from explorer.methods.inside_llm.core_neurons import core
from explorer.methods.inside_llm.corematching import CoreMatching
from explorer.methods.signals import Kept, Size, Stage
from explorer.pico.data import scenes
from explorer.ui.payloads.method import method_words

KEPT = {2: [0, 3, 8], 3: [1, 15], 6: [4]}  # behind layers 1, 2 and the last one


def blank_plan(kept: dict[int, list[int]] = KEPT, **changes) -> PruningPlan:
    stages = tuple(Stage(layer, len(index), wipe_cache=True) for layer, index in kept.items())
    return PruningPlan(stages, lambda _, stage: Kept(torch.tensor(kept[stage.layer])), **changes)


def said(run, steps: int = 6) -> tuple[list[int], torch.Tensor]:
    answer = list(decode(run, steps))
    return [step.token for step in answer], torch.stack([step.logits for step in answer])


@torch.no_grad()
def by_hand(model, prompt, wiped: dict[int, list[int]], tokens: list[int]) -> torch.Tensor:
    """Hugging Face's own prefill and decoding, with holes in the cache between the two."""
    cache = DynamicCache(config=model.config)
    S = prompt.inputs_embeds.shape[1]
    logits = [model(inputs_embeds=prompt.inputs_embeds, cache=cache, use_cache=True).logits[0, -1]]
    for layer, kept in wiped.items():
        gone = [int(place) for i, place in enumerate(prompt.visual_positions) if i not in kept]
        cache.layers[layer - 1].keys[:, :, gone] = 0
        cache.layers[layer - 1].values[:, :, gone] = 0
    for step, token in enumerate(tokens[:-1]):
        at = torch.tensor([[S + step]])
        out = model(input_ids=torch.tensor([[token]]), cache=cache, position_ids=at)
        logits.append(out.logits[0, -1])
    return torch.stack(logits)


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_a_blank_stage_wipes_the_cache_and_nothing_else(kv_heads):
    model, prompt = tiny_llama(kv_heads), random_prompt()
    run = prefill(taken_apart(model), prompt, blank_plan())
    full = prefill(taken_apart(model), prompt)
    assert torch.equal(run.logits, full.logits), "the first token is not touched"
    assert run.n_visual == [16] * 6
    assert run.cached_visual == [16, 3, 2, 16, 16, 1]
    tokens, logits = said(run)
    plain = tiny_llama(kv_heads, attention="sdpa")
    assert (logits - by_hand(plain, prompt, KEPT, tokens)).abs().max() < 5e-5
    assert (logits[1:] - by_hand(plain, prompt, {}, tokens)[1:]).abs().max() > 1e-2
    assert torch.allclose(teacher_force(run, tokens), logits, atol=2e-5)


def test_outcomes_tell_who_was_wiped_where():
    run = prefill(taken_apart(tiny_llama()), random_prompt(), blank_plan())
    for outcome, kept in zip(run.outcomes, KEPT.values(), strict=True):
        assert (outcome.alive_index >= 0).nonzero()[:, 0].tolist() == kept
        assert outcome.alive_index_before.tolist() == list(range(16))
        assert outcome.source_index.tolist() == list(range(16))


def test_tokens_that_are_gone_stay_gone_in_the_outcome_of_a_blank_stage():
    choices = {2: Kept(torch.arange(4, 12)), 4: Kept(torch.tensor([0, 7]))}
    stages = (Stage(2, 8), Stage(4, 2, wipe_cache=True))
    plan = PruningPlan(stages, lambda _, stage: choices[stage.layer])
    run = prefill(taken_apart(tiny_llama()), random_prompt(), plan)
    assert (run.outcomes[1].alive_index >= 0).nonzero()[:, 0].tolist() == [4, 11]
    assert run.n_visual == [16, 16, 8, 8, 8, 8]
    wiped = (run.cache.layers[3].values[0] == 0).all(-1).all(0).nonzero()[:, 0]
    assert wiped.tolist() == list(range(6, 12))


def test_a_map_needs_no_cache():
    trunk = SharedPrefix(taken_apart(tiny_llama()), random_prompt(), frozenset())
    [scouted] = dry_run(trunk, [blank_plan()])
    run = prefill(taken_apart(tiny_llama()), random_prompt(), blank_plan())
    assert [o.alive_index.tolist() for o in scouted] == [
        o.alive_index.tolist() for o in run.outcomes
    ]


def test_a_blank_stage_that_breaks_its_promise_is_refused():
    plan = PruningPlan((Stage(2, 3, wipe_cache=True),), lambda *_: Kept(torch.tensor([1])))
    with pytest.raises(RuntimeError, match="1 kept"):
        prefill(taken_apart(tiny_llama()), random_prompt(), plan)


# ---- neurons ------------------------------------------------------------------------------------


def core_plan(kept: dict[int, list[int]]) -> PruningPlan:
    choose = partial(core, rho=0.4, beta=0.4)
    return blank_plan(kept, needs=frozenset({"neurons"}), decoding_neuron_mask=choose)


def test_decoding_uses_the_core_neurons_alone():
    """As if the other columns of down_proj were zero, in decoding only."""
    prompt, heard = random_prompt(), []
    run = prefill(taken_apart(tiny_llama()), prompt, core_plan({}))
    assert torch.equal(run.logits, prefill(taken_apart(tiny_llama()), prompt).logits)
    tokens, logits = said(run)
    plain = tiny_llama(attention="sdpa")
    for layer in plain.model.layers:
        layer.mlp.down_proj.register_forward_pre_hook(lambda _, args: heard.append(args[0][0]))
    cache = DynamicCache(config=plain.config)
    with torch.no_grad():
        expected = [
            plain(inputs_embeds=prompt.inputs_embeds, cache=cache, use_cache=True).logits[0, -1]
        ]
    for index, layer in enumerate(plain.model.layers):
        values = heard[index].clamp(min=0)
        times = torch.zeros(64)
        for token in values:
            strongest = token.argsort(descending=True)
            times[strongest[: int(0.4 * int((token > 0).sum()))]] += 1
        chosen = torch.argsort(times, descending=True, stable=True)[:25]  # 0.4 of 64
        assert run.neuron_mask[index].nonzero()[:, 0].tolist() == sorted(chosen.tolist())
        with torch.no_grad():
            others = [n for n in range(64) if n not in chosen]
            layer.mlp.down_proj.weight[:, others] = 0
    with torch.no_grad():
        for step, token in enumerate(tokens[:-1]):
            at = torch.tensor([[prompt.inputs_embeds.shape[1] + step]])
            out = plain(input_ids=torch.tensor([[token]]), cache=cache, position_ids=at)
            expected.append(out.logits[0, -1])
    assert (logits - torch.stack(expected)).abs().max() < 5e-5
    usual = said(prefill(taken_apart(tiny_llama()), prompt))[1]
    assert (logits[1] - usual[1]).abs().max() > 1e-2
    assert torch.allclose(teacher_force(run, tokens), logits, atol=2e-5)


def test_runs_with_and_without_fewer_neurons_decode_side_by_side():
    decoder, prompt = taken_apart(tiny_llama()), random_prompt()
    plans = [core_plan(KEPT), blank_plan(), PruningPlan()]
    alone = [said(prefill(decoder, prompt, plan)) for plan in plans]
    together: dict[int, list] = {0: [], 1: [], 2: []}
    for steps in decode_together([prefill(decoder, prompt, plan) for plan in plans], 6):
        for number, step in steps:
            together[number].append(step)
    for number, (tokens, logits) in enumerate(alone):
        assert [step.token for step in together[number]] == tokens
        found = torch.stack([step.logits for step in together[number]])
        assert torch.allclose(found, logits, atol=2e-5)


@pytest.mark.parametrize(
    "spec", ["corematching:zero-kv", "corematching", "corematching:zero-kv?neurons=core"]
)
def test_pico_answers_with_it(spec):
    case = open_case(CaseRequest.make("pico", scenes.make(5).image, "how many things are there ?"))
    method = catalog.resolve(spec)
    plan = plan_of(method, case.size, 120)
    run = prefill(case.decoder, case.prompt(plan.needs), plan)
    tokens, logits = said(run)
    assert logits.isfinite().all()
    assert len(tokens) >= 2
    assert bool(run.neuron_mask) == ("neurons=" in spec)
    mean = sum(stage.keep for stage in plan.stages) / len(plan.stages)
    assert mean < 120
    everything = plan_of(method, case.size, case.size.tokens)
    kept = prefill(case.decoder, case.prompt(plan.needs), everything)
    assert torch.equal(kept.logits, prefill(case.decoder, case.prompt()).logits)


def test_a_wiped_token_costs_and_counts_as_one_that_stays_and_a_dropped_one_does_not():
    request = CaseRequest.make("pico", scenes.make(5).image, "how many things are there ?")
    full, dropped, wiped = (
        analyses.answer(request, spec, 120)
        for spec in ("full", "corematching", "corematching:zero-kv")
    )
    assert wiped.flops == full.flops > dropped.flops
    assert wiped.kv_bytes == full.kv_bytes > dropped.kv_bytes
    assert wiped.dominance.image.tolist() == full.dominance.image.tolist()
    assert dropped.dominance.image.tolist() == list(dropped.layers)
    assert method_words("corematching:zero-kv")["wipes"]
    assert title("corematching:zero-kv") == "CoreMatching · zero-kv (full cost)"
    assert title("corematching") == "CoreMatching"
    assert not method_words("corematching")["wipes"]


def test_the_staircase_dips_where_the_cache_is_wiped():
    size = Size(196, 12, 14)
    counts = alive(CoreMatching(mode="zero-kv").schedule(size, 150), size).tolist()
    assert counts == [196] * 2 + [104] * 6 + [196] * 4
    assert sum(counts) / 12 == 150
