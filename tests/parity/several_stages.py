"""Methods that prune in several places: VScan."""

from __future__ import annotations

from dataclasses import replace

import torch

from explorer.methods.several_stages import mustdrop
from explorer.methods.several_stages.mustdrop import MustDrop
from explorer.methods.several_stages.vscan import VScan
from explorer.methods.signals import Kept, Signals, Stage, top
from parity.inside import play, stages_of
from parity.reading import Golden, assert_close, assert_same_set, batch, line


def run_vscan(golden: Golden) -> None:
    (run_vscan_tower if golden["stage"] == "tower" else run_vscan_llm)(golden)


def run_vscan_tower(golden: Golden) -> None:
    """The scans and the merging; every row of the batch is a picture by itself."""
    names = ("features", "shallow_attention", "deep_attention", "local", "keep", "merged")
    count, side = int(golden["budget"]), int(golden["grid"])
    for features, shallow, deep, local, keep, merged in batch(golden, *names):
        n = len(features)
        signals = Signals(
            line(n, side),
            features @ golden["projector"].T,
            patches=torch.arange(n)[:, None],
            cls_attention=deep[None],
            early_cls_attention=shallow[None],
        )
        assert VScan().local(signals, count).tolist() == local.tolist()
        kept = VScan().keep(signals, Stage(0, 0, count))
        assert_same_set(kept.centre, keep)
        assert_close(kept.merged, merged)


def run_vscan_llm(golden: Golden) -> None:
    def look(signals: Signals, stage: Stage, s: int) -> Kept:
        assert_close(VScan().score(signals), golden[f"score_stage{s}"])
        kept = VScan().keep(signals, stage)
        alive = golden[f"score_tokens_stage{s}"]
        assert_same_set(alive[kept.index], golden[f"keep_stage{s}"])
        return kept

    stages = stages_of(golden, golden["layer_list"].tolist())
    assert [stage.keep for stage in stages] == golden["image_token_list"].tolist()
    play(golden, VScan, stages, look, VScan().positions)


def run_mustdrop(golden: Golden) -> None:
    """The stages in the LLM: which tokens pass the filters is as many as the schedule says."""
    key, limits = golden["key_set"], (float(golden["global_thr"]), float(golden["individual_thr"]))

    def look(signals: Signals, stage: Stage, s: int) -> Kept:
        together, single = mustdrop.attention(signals)
        assert_close(together, golden[f"global_stage{s}"])
        assert_close(single, golden[f"individual_stage{s}"])
        alive = golden[f"tokens_stage{s}"]
        score = mustdrop.filtered(together, single, *limits)
        score[torch.isin(alive, key)] = torch.inf
        kept = top(score, stage.keep)
        assert kept.tolist() == (score >= 1).nonzero()[:, 0].tolist()
        assert_same_set(alive[kept], golden[f"keep_stage{s}"])
        return Kept(kept)

    layers = [layer + 1 for layer in golden["pruning_layers"].tolist()]
    *before, last = stages_of(golden, layers)
    last = replace(last, cut_from=layers[0] - 1, cut_positions=True)
    run, _ = play(golden, MustDrop, [*before, last], look, MustDrop().positions)
    assert run.cached_length == golden["kv_len_after_prefill"].tolist()


RUNNERS = {"vscan": run_vscan, "mustdrop": run_mustdrop}
