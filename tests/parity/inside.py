"""Methods of several stages, inside a whole tiny language model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from explorer.analyses.recipe_fitting import attention_mass, deleted_per_layer
from explorer.inference.prefill import PrefillRun, PruningPlan, prefill
from explorer.methods.inside_llm import sparsevlm, transprune
from explorer.methods.inside_llm.feather import Feather
from explorer.methods.inside_llm.fitprune import FitPrune
from explorer.methods.inside_llm.pyramiddrop import PyramidDrop
from explorer.methods.inside_llm.sparsevlm import SparseVLM
from explorer.methods.inside_llm.transprune import TransPrune
from explorer.methods.method import Method
from explorer.methods.ops import recycling
from explorer.methods.ops.recipes import RECIPES
from explorer.methods.signals import Kept, Signals, Stage, top
from explorer.vlm.components import Decoder
from parity.reading import (
    Golden,
    assert_close,
    assert_same_end,
    assert_same_set,
    line,
    recorded_prompt,
    tiny_llama,
)

Look = Callable[[Signals, Stage, int], Kept]


def alive(golden: Golden, stage: int, tokens: str = "score_tokens") -> Tensor:
    """Which tokens of the picture are alive when a stage begins; -1 for merged ones."""
    return golden[f"{tokens}_stage{stage}"]


def stages_of(golden: Golden, layers: list[int]) -> list[Stage]:
    return [Stage(layer, len(golden[f"keep_stage{s}"])) for s, layer in enumerate(layers)]


def play(
    golden: Golden, method: type[Method], stages: list[Stage], look: Look, positions: str
) -> tuple[PrefillRun, list[list[int]]]:
    """Run the recorded model with a method that `look` follows stage by stage; compare the end.

    Gives the run, and the positions that its layers saw, once for each change.
    """
    model, prompt = tiny_llama(golden), recorded_prompt(golden)
    seen: list[list[int]] = []
    looked: list[Stage] = []

    def choose(inside: Signals, stage: Stage) -> Kept:
        looked.append(stage)
        return look(inside, stage, len(looked) - 1)

    plan = PruningPlan(tuple(stages), choose, method.needs, renumber=positions == "renumber")
    decoder = Decoder(model.get_decoder(), model.lm_head, frozenset())
    hook = decoder.body.rotary_emb.register_forward_pre_hook(
        lambda _, arguments: seen.append(arguments[1][0].tolist())
    )
    run = prefill(decoder, prompt, plan)
    hook.remove()
    assert looked == stages
    assert_same_end(run, golden)
    assert run.outcomes[-1].source_index.tolist()[: len(golden["keep"])] == golden["keep"].tolist()
    return run, seen


def run_pyramiddrop(golden: Golden) -> None:
    def look(signals: Signals, stage: Stage, s: int) -> Kept:
        scores = PyramidDrop().score(signals)
        assert_close(scores, golden[f"score_stage{s}"])
        kept = PyramidDrop().keep(signals, stage)
        assert_same_set(alive(golden, s)[kept.index], golden[f"keep_stage{s}"])
        return kept

    stages = stages_of(golden, golden["layer_list"].tolist())
    play(golden, PyramidDrop, stages, look, PyramidDrop().positions)


def run_transprune(golden: Golden) -> None:
    """The layers that count are the recording's: one of them begins before the first stage."""
    counting = [layer - 1 for layer in golden["accumulate_layers_1based"].tolist()]

    def look(signals: Signals, stage: Stage, s: int) -> Kept:
        past = [layer for layer in counting if layer < stage.layer]
        for layer in past:
            changes = transprune.weights(signals.transitions[layer])
            assert_close(changes, golden[f"ttv_layer{layer}"])
        layers = [signals.transitions[layer] for layer in past]
        scores = TransPrune().combine(signals, layers)
        if stages[0].layer == counting[0] + 1:  # as the authors' lists are
            assert torch.equal(scores, TransPrune().score(signals))
        assert_close(scores, golden[f"score_stage{s}"])
        index = top(scores, stage.keep)
        assert_same_set(alive(golden, s)[index], golden[f"keep_stage{s}"])
        return Kept(index)

    stages = stages_of(golden, golden["prune_layers_1based"].tolist())
    play(golden, TransPrune, stages, look, TransPrune().positions)


def run_sparsevlm(golden: Golden) -> None:
    """Both versions; the recording prunes the output of a layer, so before the one behind it."""
    options = {"version": "1.5" if golden["version"] == "1_0" else "plus"}

    def look(signals: Signals, stage: Stage, s: int) -> Kept:
        chosen = sparsevlm.raters(signals).nonzero()[:, 0]
        assert chosen.tolist() == golden["rater_text_idx"].tolist()
        assert_close(SparseVLM(**options).score(signals), golden[f"score_stage{s}"])
        kept = SparseVLM(**options).keep(signals, stage)
        assert kept.index.tolist() == golden[f"keep_mask_stage{s}"].nonzero()[:, 0].tolist()
        tokens = alive(golden, s, "tokens_in")[kept.index]
        assert tokens.tolist() == golden[f"keep_stage{s}"].tolist()
        if stage.merge:
            again = signals.features[kept.group >= 0]
            assert_same_rows(again, golden[f"recycle_in_stage{s}"])
            assert_close(kept.merged, golden[f"recycle_out_stage{s}"])
        return kept

    stages = []
    for s, layer in enumerate(golden["pruning_layers_0based"].tolist()):
        merged = int(golden.get(f"n_clusters_stage{s}", 0))
        keep = len(golden[f"keep_stage{s}"])
        if merged:
            assert merged == recycling.clusters(int(golden[f"n_visual_in_stage{s}"]) - keep)
        stages.append(Stage(layer + 1, keep, merged))
    _, seen = play(golden, SparseVLM, stages, look, SparseVLM(**options).positions)
    for s, positions in enumerate(seen[1:]):
        assert positions == golden[f"position_ids_after_stage{s}"].tolist()
    assert len(seen) == len(stages) + 1


def run_feather(golden: Golden) -> None:
    """Two stages with a grid, or one without: the mode names the stride."""
    options = {"mode": "one-stage"}
    if "_s=" in golden["mode"]:
        options = {"mode": "two-stage", "stride": int(golden["stride"])}
    method = Feather(**options)

    def look(signals: Signals, stage: Stage, s: int) -> Kept:
        square = line(int(golden["n_visual"]), int(golden["grid"]))
        signals = replace(signals, grid_position=square[alive(golden, s)])
        assert_close(method.score(signals), golden[f"score_stage{s}"])
        kept = method.keep(signals, stage)
        assert_same_set(alive(golden, s)[kept.index], golden[f"keep_stage{s}"])
        return kept

    stages = stages_of(golden, golden["layer_list"].tolist())
    _, seen = play(golden, Feather, stages, look, method.positions)
    for s, positions in enumerate(seen[1:]):
        assert positions == golden[f"position_ids_after_stage{s}"].tolist()
    assert len(seen) == len(stages) + 1


def run_fitprune(golden: Golden) -> None:
    """Deletions behind each layer, the recipes that are shipped, and the fit on one prompt."""
    scheme, n = golden["scheme"].tolist(), int(golden["n_visual"])
    shipped = [row for row in golden["recipes"].tolist() if any(row)]
    assert [list(row) for row in RECIPES["llava-1.5-7b"].deleted] == shipped
    # what the last layer deletes changes nothing: no stage
    layers = [layer for layer, count in enumerate(scheme[:-1]) if count]
    stages = [Stage(layer + 1, n - sum(scheme[: layer + 1])) for layer in layers]
    names = {stage.layer: f"layer{stage.layer - 1}" for stage in stages}

    def look(signals: Signals, stage: Stage, _: int) -> Kept:
        name = names[stage.layer]
        assert_close(FitPrune().score(signals), golden[f"score_{name}"])
        kept = FitPrune().keep(signals, stage)
        assert_same_set(golden[f"tokens_{name}"][kept.index], golden[f"keep_{name}"])
        return kept

    end = golden | {"keep": golden[f"keep_layer{layers[-1]}"]}
    end |= {"kv_len_after": golden["kv_len_after_prefill"] + len(golden["greedy_tokens"])}
    run, _ = play(end, FitPrune, stages, look, FitPrune().positions)
    assert run.n_visual == golden["alive_entering"].tolist()
    prompt = recorded_prompt(golden)
    mass = attention_mass(run.decoder, prompt)
    assert_close(mass.cross, golden["cross_mass"])
    assert_close(mass.own, golden["self_mass"])
    for alpha, official in zip(golden["fit_alphas"], golden["fit_schemes"], strict=True):
        deleted = deleted_per_layer(run.decoder, prompt, mass, round(float(alpha), 6))
        assert deleted == official.tolist()


def assert_same_rows(ours: Tensor, official: Tensor) -> None:
    """The same vectors in any order."""
    nearest = torch.cdist(ours, official).argmin(1)
    assert sorted(nearest.tolist()) == list(range(len(official)))
    assert_close(ours, official[nearest])


RUNNERS = {
    "fitprune": run_fitprune,
    "feather": run_feather,
    "pyramiddrop": run_pyramiddrop,
    "sparsevlm": run_sparsevlm,
    "sparsevlmplus": run_sparsevlm,
    "transprune": run_transprune,
}
