"""Methods that prune in several places: AIM, VScan and MustDrop."""

from __future__ import annotations

from dataclasses import replace

import torch
from transformers import Qwen2ForCausalLM

from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.ops import dual_attention
from explorer.methods.ops.groups import bipartite
from explorer.methods.several_stages import flat_windows
from explorer.methods.several_stages.aim import AIM
from explorer.methods.several_stages.mustdrop import MustDrop
from explorer.methods.several_stages.vscan import VScan
from explorer.methods.signals import Kept, Signals, Stage, top
from explorer.vlm.components import Decoder
from parity.inside import play, stages_of
from parity.reading import (
    Golden,
    assert_close,
    assert_same_answer,
    assert_same_set,
    batch,
    line,
    recorded_prompt,
    tiny_llama,
)


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


def run_aim(golden: Golden) -> None:
    (run_aim_merging if golden["stage"] == "merge" else run_aim_llm)(golden)


def run_aim_merging(golden: Golden) -> None:
    """Every round of every frame; the frames are merged side by side, too, as views."""
    features, rounds = golden["features"], int(golden["rounds"])
    frames, patches, _ = features.shape
    for number, frame in enumerate(features):
        lists = bipartite.thinned(frame)
        for r in range(rounds):
            official, mix = golden[f"merged_round{r}"][number], golden[f"mix_round{r}"][number]
            assert len(official) == int(golden["counts"][r]) == len(lists[r + 1][0].size)
            assert_close(lists[r + 1][0].metric, official)
            group, share = bipartite.thinned_down(lists, len(official))
            assert_close(
                torch.zeros_like(mix).index_put_((group, torch.arange(patches)), share), mix
            )
    place = line(frames * patches, patches)[:, [1, 0, 2]]
    kept = AIM().keep(Signals(place, features.flatten(0, 1)), Stage(0, 0, frames * len(official)))
    assert_close(kept.merged, golden["merged"].flatten(0, 1))
    mixed = kept.mix(torch.eye(frames * patches)).view(frames, len(official), frames, patches)
    for number in range(frames):
        assert_close(mixed[number, :, number], golden["mix"][number])


def run_aim_llm(golden: Golden) -> None:
    """The official code hides tokens: they go on as queries, which here are keys of weight 0."""
    n, n_layers = int(golden["n_visual"]), int(golden["num_layers"])
    visible = torch.arange(n)
    entering = [n]
    stages = [Stage(layer + 1, n, keep_positions=True) for layer in range(n_layers - 1)]

    def choose(signals: Signals, stage: Stage) -> Kept:
        nonlocal visible
        scores = AIM().score(signals)
        assert_close(scores, golden[f"importance_layer{stage.layer - 1}"])
        gone = torch.ones(n, dtype=torch.bool).index_fill_(0, visible, False)
        count = int(golden["alive_after"][stage.layer - 1])
        visible = (
            AIM()
            .keep(
                replace(signals, pagerank=scores.masked_fill(gone, -1)), replace(stage, keep=count)
            )
            .index
        )
        assert_same_set(visible, golden[f"keep_layer{stage.layer - 1}"])
        entering.append(count)
        return Kept(torch.arange(n), weight=torch.zeros(n).index_fill_(0, visible, 1))

    plan = PruningPlan(tuple(stages), choose, AIM.needs)
    model = tiny_llama(golden, Qwen2ForCausalLM)
    decoder = Decoder(model.get_decoder(), model.lm_head, frozenset())
    assert_same_answer(prefill(decoder, recorded_prompt(golden), plan), golden)
    step = float(golden["step"])
    first = int(golden["first_layer"])
    text = len(golden["inputs_embeds"]) - n
    rates = [min(1.0, max(0.0, 1 - (i - first + 1) * step)) for i in range(n_layers - 1)]
    assert entering[1:] == [int(n * rate + text) - text for rate in rates]


def run_mustdrop(golden: Golden) -> None:
    (run_mustdrop_tower if golden["part"] == "tower" else run_mustdrop_llm)(golden)


def run_mustdrop_tower(golden: Golden) -> None:
    """Which windows merge is told by the threshold; tokens stand as the tower's layer 1 reads."""
    patches, side = golden["features"][1:], int(golden["side"])
    windows = flat_windows.members(side, side)
    like = flat_windows.likeness(patches, windows)
    count = int((like >= float(golden["threshold"])).sum())
    assert count == int(golden["n_merged_windows"])
    chosen, group = flat_windows.grouped(windows, like, count, len(patches))
    assert chosen[:, -1].tolist() == golden["anchor"].tolist()
    row = torch.where(group < 0, count + (group < 0).cumsum(0) - 1, group)
    assert row.tolist() == golden["group"].tolist()
    tokens = torch.cat([golden["features"][:1], patches[chosen].mean(1), patches[group < 0]])
    assert_close(tokens, golden["tokens_after_merge"])
    n = int(golden["n_after"])
    signals = Signals(
        line(n),
        torch.zeros(n, 1),
        patches=torch.arange(n)[:, None],
        last_cls_attention=golden["cls_attention"][None],
        inputs=torch.zeros(n, 1),
    )
    assert_same_set(dual_attention.key_set(signals, n), golden["key_set"])


def run_mustdrop_llm(golden: Golden) -> None:
    """The stages in the LLM: which tokens pass the filters is as many as the schedule says."""
    key, limits = golden["key_set"], (float(golden["global_thr"]), float(golden["individual_thr"]))

    def look(signals: Signals, stage: Stage, s: int) -> Kept:
        together, single = dual_attention.attention(signals)
        assert_close(together, golden[f"global_stage{s}"])
        assert_close(single, golden[f"individual_stage{s}"])
        alive = golden[f"tokens_stage{s}"]
        score = dual_attention.filtered(together, single, *limits)
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


RUNNERS = {"aim": run_aim, "vscan": run_vscan, "mustdrop": run_mustdrop}
