"""PACT, which gathers tokens inside a whole tiny Qwen2."""

from __future__ import annotations

import torch
from transformers import Qwen2ForCausalLM

from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.inside_llm.pact import PACT
from explorer.methods.ops.groups import bounded_clusters
from explorer.methods.signals import Kept, Signals, Stage, top
from explorer.vlm.components import Decoder
from parity.reading import (
    Golden,
    assert_close,
    assert_same_answer,
    assert_same_set,
    recorded_prompt,
    tiny_llama,
)


def run_pact(golden: Golden) -> None:
    cutoff, share = float(golden["cutoff"]), float(golden["keep_share"])
    model, prompt = tiny_llama(golden, Qwen2ForCausalLM), recorded_prompt(golden)

    def choose(signals: Signals, stage: Stage) -> Kept:
        score = PACT().score(signals)
        assert_close(score, golden["scores"])
        survivors = top(score, int(signals.count * share))
        assert_same_set(survivors, golden["survivors"])
        distance = bounded_clusters.distances(signals.joined_keys)
        centre = bounded_clusters.centres(distance, survivors, cutoff)
        reach = float(golden["coef_pruned"]) * cutoff
        kept = PACT().merged(signals, centre, bounded_clusters.gathered(distance, centre, reach))
        assert kept.centre.tolist() == golden["keep"].tolist()
        into = torch.where(kept.group < 0, -1, kept.centre[kept.group.clamp(min=0)])
        assert into.tolist() == golden["centre_of"].tolist()
        assert_close(kept.merged, golden["merged"])
        sizes = kept.group[kept.group >= 0].bincount()
        assert sizes.tolist() == golden["weights"].tolist()
        return kept

    stage = Stage(int(golden["layer"]), 0, int(golden["budget"]))
    plan = PruningPlan((stage,), choose, PACT.needs, renumber=PACT().positions == "renumber")
    run = prefill(Decoder(model.get_decoder(), model.lm_head, frozenset()), prompt, plan)
    assert run.cached_length == golden["kv_len_after_prefill"].tolist()
    assert_same_answer(run, golden)


RUNNERS = {"pact": run_pact}
