"""FastV and VisionDrop, which prune inside the language model."""

from __future__ import annotations

import torch

from explorer.capture import causal_rows
from explorer.engine import Plan, Prompt, decode, prefill
from explorer.families.parts import Decoder
from explorer.methods import fastv, visiondrop
from explorer.signals import Kept, Signals, Stage
from parity.reading import (
    LOGITS,
    Golden,
    assert_close,
    assert_same_groups,
    assert_same_set,
    block,
    line,
    tiny_llama,
)
from parity.tower import run_tower_merging


def run_visiondrop(golden: Golden) -> None:
    if "query" not in golden:
        run_tower_merging(visiondrop)(golden)
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
    kept = visiondrop.keep(signals, Stage(int(golden["rank_layer"]), dominant, contextual))
    assert_close(visiondrop.score(signals), golden["scores"])
    assert_same_set(kept.index, golden["keep"])
    assert_same_groups(kept, contextual, golden["assign"])
    assert_close(block(signals, kept), golden["merged"])
    sequence = torch.cat([hidden[:start], block(signals, kept), hidden[start + n :]])
    assert_close(sequence, golden["hidden_out"])


def run_fastv(golden: Golden) -> None:
    """The variant that prunes once and has a cache (`nocache_*` ranks again at every token)."""
    model = tiny_llama(golden)
    embeds = golden["inputs_embeds"][None]
    start, n, total = int(golden["n_sys"]), int(golden["n_visual"]), embeds.shape[1]
    visual = torch.arange(start, start + n)
    text = torch.ones(total, dtype=torch.bool)
    text[visual] = False
    signals = Signals(line(n), embeds[0, visual], patches=torch.arange(n)[:, None])
    prompt = Prompt(embeds, torch.arange(total)[None], visual, text, signals)
    stage = Stage(int(golden["fastv_k"]), int(golden["budget"]))
    seen, positions = [], []

    def choose(inside: Signals, at: Stage) -> Kept:
        seen.append(fastv.score(inside))
        return fastv.keep(inside, at)

    plan = Plan((stage,), choose, fastv.NEEDS, renumber=fastv.POSITIONS == "renumber")
    decoder = Decoder(model.get_decoder(), model.lm_head, frozenset())
    hook = decoder.body.rotary_emb.register_forward_pre_hook(
        lambda _, arguments: positions.append(arguments[1][0])
    )
    run = prefill(decoder, prompt, plan)
    hook.remove()
    [scores] = seen
    assert_close(scores, golden["scores"])
    assert run.outcomes[0].itself.tolist() == golden["keep"].tolist()
    assert positions[-1].tolist() == golden["position_ids_after"].tolist()
    answer = list(decode(run, len(golden["logits_last"])))
    logits = torch.stack([step.logits for step in answer])
    assert (logits - golden["logits_last"]).abs().max() < LOGITS
    tokens = [step.token for step in answer]
    assert tokens[: len(golden["greedy_tokens"])] == golden["greedy_tokens"].tolist()
    lengths = [run.cache.get_seq_length(i) for i in range(len(decoder.body.layers))]
    assert lengths == golden["kv_len_after"].tolist()


RUNNERS = {"fastv": run_fastv, "visiondrop": run_visiondrop}
