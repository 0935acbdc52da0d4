"""Every golden file in the folder GOLDENS: inputs and outputs recorded from the original code.

The part of a file's name before the first "_" chooses the runner. A file of a method that this
project doesn't have is skipped by name; a file that has a runner and can't be run fails.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from explorer import dominance
from explorer.capture import ATTENTION, causal_rows
from explorer.engine import Plan, Prompt, decode, prefill
from explorer.families.parts import Decoder
from explorer.methods import clsattn, divprune, fastv, fopru, visiondrop, visionzip
from explorer.signals import Kept, Signals, Size, Stage

FOLDER = Path(os.environ.get("GOLDENS") or Path(__file__).parent / "goldens")
LOGITS = 1e-4  # largest difference of a logit, as absolute number

Golden = dict[str, Tensor]


# ---- loading and comparing --------------------------------------------------------------------


def load(path: Path) -> Golden:
    """Numbers as tensors, floats in float32, texts as they are."""
    golden = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            array = file[name]
            if array.dtype.kind == "U":
                golden[name] = str(array)
            elif array.dtype.kind == "f":
                golden[name] = torch.from_numpy(array.astype(np.float32))
            else:
                golden[name] = torch.from_numpy(array)
    return golden


def batch(golden: Golden, *names: str) -> list[list[Tensor]]:
    """The named arrays of each row of a batch."""
    return [list(row) for row in zip(*(golden[name] for name in names), strict=True)]


def assert_close(ours: Tensor, official: Tensor, relative: float = 1e-4) -> None:
    """Equal up to a relative error, or up to rounding of the largest number."""
    rounding = 1e-6 * float(official[official.isfinite()].abs().max())
    torch.testing.assert_close(ours, official, rtol=relative, atol=rounding, check_dtype=False)


def assert_same_set(ours: Tensor, official: Tensor) -> None:
    assert ours.tolist() == sorted(official.tolist())


def line(n: int, columns: int | None = None) -> Tensor:
    """Places [n, 3] of n tokens, in rows of `columns`."""
    number = torch.arange(n)
    return torch.stack([number * 0, number // (columns or n), number % (columns or n)], 1)


# ---- one runner per method --------------------------------------------------------------------


def run_clsattn(golden: Golden) -> None:
    names = ("attn", "hidden_states", "scores", "keep", "mask", "kept_features")
    for attn, hidden, scores, keep, mask, kept_features in batch(golden, *names):
        n = len(scores)
        signals = Signals(
            line(n),
            hidden[1:],
            patches=torch.arange(n)[:, None],
            cls_attention=attn[None, :, 0, 1:],
        )
        [stage] = clsattn.schedule(Size(n, 32, n), int(golden["budget"]))
        kept = clsattn.keep(signals, stage)
        assert_close(clsattn.score(signals), scores)
        assert_same_set(kept.index, keep)
        assert_same_set(kept.index, mask.nonzero()[:, 0])
        assert_close(signals.features[kept.index], kept_features)


def run_fopru(golden: Golden) -> None:
    attn = golden["attn"]
    options = {"strategy": golden["strategy"], "softmaxed": bool(golden["softmaxed"])}
    patches = attn[:, 1:, 1:].mean(0)[None]  # [CLS] is cut off
    n = patches.shape[1]
    columns = int(golden.get("grid", n))
    signals = Signals(
        line(n, columns),
        torch.zeros(n, 1),
        patches=torch.arange(n)[:, None],
        **{"patch_attention" if options["softmaxed"] else "patch_logits": patches},
    )
    significance = fopru.significance(signals, softmaxed=options["softmaxed"])
    assert_close(significance, golden["significance"])
    scores = fopru.score(signals, **options)
    if options["strategy"] == "row":
        assert_close(scores[::columns], golden["row_scores"])
        best = scores[::columns].argsort(descending=True, stable=True)
        rows = golden["row_order"].tolist()
        assert best[: len(rows)].tolist() == rows
    else:
        assert_close(scores, golden["scores"])
    [stage] = fopru.schedule(Size(n, 32, columns), int(golden["budget"]), **options)
    assert_same_set(fopru.keep(signals, stage, **options).index, golden["keep"])


def run_divprune(golden: Golden) -> None:
    features, budget = golden["features"], int(golden["budget"])
    n = len(features)
    # the official order, not only the set
    assert divprune.order(features)[:budget].tolist() == golden["keep"].tolist()
    [stage] = divprune.schedule(Size(n, 32, n), budget)
    kept = divprune.keep(Signals(line(n), features), stage)
    assert_same_set(kept.index, golden["keep"])


def run_tower_merging(method) -> None:
    """VisionZip, and the first stage of VisionDrop, which is the same code."""

    def run(golden: Golden) -> None:
        names = ("attn", "key_states", "hidden_states", "scores", "keep", "assign", "merged")
        dominant, contextual = int(golden["dominant"]), int(golden["contextual"])
        for attn, keys, hidden, scores, keep, assign, merged in batch(golden, *names):
            n = len(scores)
            signals = Signals(
                line(n),
                hidden[1:],
                patches=torch.arange(n)[:, None],
                cls_attention=attn[None, :, 0, 1:],
                keys=keys[None, :, 1:].mean(1),
                hidden=hidden[None, 1:],
                cls_hidden=hidden[None, 0],
                project=lambda x: x,  # the recording bypasses the projector
            )
            kept = method.keep(signals, Stage(0, dominant - 1, 1 + contextual))
            assert_close(method.score(signals), scores)
            assert_same_set(torch.cat([torch.zeros(1).long(), kept.index + 1]), keep)
            assert kept.lead == 1
            assert_same_groups(kept, contextual, assign)
            assert_close(block(signals, kept), merged)

    return run


def block(signals: Signals, kept: Kept) -> Tensor:
    """The visual tokens as the engine joins them."""
    merged, lead = kept.merged, kept.lead
    return torch.cat([merged[:lead], signals.features[kept.index], merged[lead:]])


def assert_same_groups(kept: Kept, contextual: int, assign: Tensor) -> None:
    """`assign` is told for the tokens that are neither kept nor a target, in their order."""
    folded = (kept.group >= 0).nonzero()[:, 0]
    assert len(folded) == len(assign) + contextual
    step = max(1, len(folded) // contextual)
    group = kept.group[folded] - kept.lead
    targets = torch.arange(contextual) * step
    assert group[targets].tolist() == list(range(contextual))
    others = torch.ones(len(folded), dtype=torch.bool)
    others[targets] = False
    assert group[others].tolist() == assign.tolist()


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


def tiny_llama(golden: Golden) -> LlamaForCausalLM:
    """The language model that a recording of a method inside the LLM carries."""
    config = LlamaConfig(
        vocab_size=int(golden["vocab_size"]),
        hidden_size=int(golden["hidden_size"]),
        intermediate_size=int(golden["intermediate_size"]),
        num_hidden_layers=int(golden["num_layers"]),
        num_attention_heads=int(golden["num_heads"]),
        num_key_value_heads=int(golden["num_kv_heads"]),
        rms_norm_eps=float(golden["rms_norm_eps"]),
        rope_parameters={"rope_type": "default", "rope_theta": float(golden["rope_theta"])},
        max_position_embeddings=2048,
    )
    model = LlamaForCausalLM._from_config(config, attn_implementation=ATTENTION).eval()
    weights = {name[2:]: value for name, value in golden.items() if name.startswith("w:")}
    weights["model.embed_tokens.weight"] = golden["embed_tokens"]
    left_out = model.load_state_dict(weights, strict=False)
    assert not left_out.unexpected_keys
    assert not [name for name in left_out.missing_keys if "inv_freq" not in name]
    return model


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


def run_mdi(golden: Golden) -> None:
    """Not official: recorded from the re-implementation that `explorer.dominance` names."""
    rows, image = golden["attn_rows"].numpy(), golden["image_mask"].numpy()
    layers, answer = rows.shape[:2]
    # without BOS is what the page shows; with it, the same numbers must follow from its own mask
    for suffix, mask in (("_nobos", "text_mask_nobos"), ("", "text_mask")):
        text = golden[mask].numpy()
        masses = dominance.masses(rows, image, text)
        found = dominance.measure(*masses, int(text.sum()), [int(image.sum())] * layers, answer)
        ours = torch.from_numpy(np.stack([found.mdi, found.aei, found.attention_text], 1))
        assert_close(ours, golden[f"per_layer{suffix}"][:, [0, 1, 3]])
        stages = torch.tensor([found.stages[name] for name in ("early", "middle", "late")])
        assert_close(stages, golden[f"stage{suffix}"][:, :2])


RUNNERS = {
    "clsattn": run_clsattn,
    "fopru": run_fopru,
    "divprune": run_divprune,
    "visionzip": run_tower_merging(visionzip),
    "fastv": run_fastv,
    "visiondrop": run_visiondrop,
    "mdi": run_mdi,
}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.npz")), ids=lambda path: path.name)
def test_parity_with_the_official_code(path: Path):
    runner = RUNNERS.get(path.name.split("_")[0])
    if runner is None:
        pytest.skip(f"{path.name}: no method of this project")
    runner(load(path))


def test_there_are_goldens():
    assert list(FOLDER.glob("*.npz")), f"no golden files in {FOLDER}"
