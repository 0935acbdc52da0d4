"""FastV, VisionDrop and VTW, which prune inside the language model."""

from __future__ import annotations

from dataclasses import replace

import torch

from explorer.analyses.inside.withdrawal import first_layer_within, withdrawal_divergence
from explorer.inference.attention_weights import causal_rows
from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.inside_llm.fastv import FastV
from explorer.methods.inside_llm.vtw import VTW
from explorer.methods.several_stages.visiondrop import VisionDrop
from explorer.methods.signals import Kept, Signals, Size, Stage
from explorer.vlm.components import Decoder
from parity.inside import play
from parity.reading import (
    Golden,
    assert_close,
    assert_same_answer,
    assert_same_end,
    assert_same_groups,
    assert_same_set,
    block,
    line,
    recorded_prompt,
    tiny_llama,
)
from parity.tower import run_tower_merging


def run_visiondrop(golden: Golden) -> None:
    if "query" not in golden:
        run_tower_merging(VisionDrop())(golden)
        return
    query, key, hidden = golden["query"], golden["key"], golden["hidden_states"]
    start, n = int(golden["image_start"]), int(golden["image_tokens"])
    rows = torch.arange(start, start + n)
    attention = causal_rows(query, key, rows, query.shape[-1] ** -0.5)
    signals = Signals(
        line(n),
        hidden[rows],
        visual_attention=attention[:, :, rows].mean(0),
        visual_keys=key[:, rows].mean(0),
    )
    dominant, contextual = int(golden["dominant"]), int(golden["contextual"])
    kept = VisionDrop().keep(signals, Stage(int(golden["rank_layer"]), dominant, contextual))
    assert_close(VisionDrop().score(signals), golden["scores"])
    assert_same_set(kept.index, golden["keep"])
    assert_same_groups(kept, contextual, golden["assign"])
    assert_close(block(signals, kept), golden["merged"])
    sequence = torch.cat([hidden[:start], block(signals, kept), hidden[start + n :]])
    assert_close(sequence, golden["hidden_out"])


def run_fastv(golden: Golden) -> None:
    """The variant that prunes once and has a cache (`nocache_*` ranks again at every token)."""
    model, prompt = tiny_llama(golden), recorded_prompt(golden)
    stage = Stage(int(golden["fastv_k"]), int(golden["budget"]))
    seen, positions = [], []

    def choose(inside: Signals, at: Stage) -> Kept:
        seen.append(FastV().score(inside))
        return FastV().keep(inside, at)

    plan = PruningPlan((stage,), choose, FastV.needs, renumber=FastV().positions == "renumber")
    decoder = Decoder(model.get_decoder(), model.lm_head, frozenset())
    hook = decoder.body.rotary_emb.register_forward_pre_hook(
        lambda _, arguments: positions.append(arguments[1][0])
    )
    run = prefill(decoder, prompt, plan)
    hook.remove()
    [scores] = seen
    assert_close(scores, golden["scores"])
    assert run.outcomes[0].source_index.tolist() == golden["keep"].tolist()
    assert positions[-1].tolist() == golden["position_ids_after"].tolist()
    assert_same_end(run, golden)


def run_vtw(golden: Golden) -> None:
    """Withdrawal before one layer, and the search for it over several prompts."""
    method, layer = VTW(positions=golden["positions"]), int(golden["layer"])
    n_layers, n = int(golden["num_layers"]), int(golden["n_visual"])
    stages = method.schedule(Size(n, n_layers, n), -(-n * layer // n_layers))
    assert stages == [Stage(layer, 0)]

    def look(signals: Signals, stage: Stage, _: int) -> Kept:
        return method.keep(signals, stage)

    run, _ = play(golden, VTW, stages, look, method.positions)
    assert run.n_visual == golden["alive_entering"].tolist()
    whole = {"logits_last": golden["logits_full"], "greedy_tokens": golden["greedy_tokens_full"]}
    prompt = recorded_prompt(golden)
    assert_same_answer(prefill(run.decoder, prompt), whole)

    first = int(golden["search_layers"][0])
    found = torch.stack(
        [
            withdrawal_divergence(run.decoder, replace(prompt, inputs_embeds=embeds[None]), first)
            for embeds in golden["sample_embeds"]
        ]
    )
    assert (found - golden["search_kl"]).abs().max() < 1e-5
    for eta, official in zip(golden["search_etas"].tolist(), golden["search_first"], strict=True):
        none = official < 0  # where the official line fails
        wanted = n_layers if none else int(official)
        assert first_layer_within(found.mean(0), eta, first) == wanted


RUNNERS = {"fastv": run_fastv, "visiondrop": run_visiondrop, "vtw": run_vtw}
