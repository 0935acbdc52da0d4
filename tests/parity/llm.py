"""FastV and VisionDrop, which prune inside the language model."""

from __future__ import annotations

import torch

from explorer.inference.attention_weights import causal_rows
from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.inside_llm.fastv import FastV
from explorer.methods.inside_llm.visiondrop import VisionDrop
from explorer.methods.signals import Kept, Signals, Stage
from explorer.vlm.components import Decoder
from parity.reading import (
    Golden,
    assert_close,
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


RUNNERS = {"fastv": run_fastv, "visiondrop": run_visiondrop}
