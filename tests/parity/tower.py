"""Methods that prune before the language model: [CLS] attention, FoPru, DivPrune, VisionZip."""

from __future__ import annotations

import torch

from explorer.methods.attention.clsattn import ClsAttention
from explorer.methods.attention.fopru import FoPru
from explorer.methods.attention.visionzip import VisionZip
from explorer.methods.method import Method
from explorer.methods.signals import Signals, Size, Stage
from explorer.methods.similarity import divprune
from explorer.methods.similarity.divprune import DivPrune
from parity.reading import (
    Golden,
    assert_close,
    assert_same_groups,
    assert_same_set,
    batch,
    block,
    line,
)


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
        [stage] = ClsAttention().schedule(Size(n, 32, n), int(golden["budget"]))
        kept = ClsAttention().keep(signals, stage)
        assert_close(ClsAttention().score(signals), scores)
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
    significance = FoPru(softmaxed=options["softmaxed"]).significance(signals)
    assert_close(significance, golden["significance"])
    scores = FoPru(**options).score(signals)
    if options["strategy"] == "row":
        assert_close(scores[::columns], golden["row_scores"])
        best = scores[::columns].argsort(descending=True, stable=True)
        rows = golden["row_order"].tolist()
        assert best[: len(rows)].tolist() == rows
    else:
        assert_close(scores, golden["scores"])
    [stage] = FoPru(**options).schedule(Size(n, 32, columns), int(golden["budget"]))
    assert_same_set(FoPru(**options).keep(signals, stage).index, golden["keep"])


def run_divprune(golden: Golden) -> None:
    features, budget = golden["features"], int(golden["budget"])
    n = len(features)
    # the official order, not only the set
    assert divprune.order(features)[:budget].tolist() == golden["keep"].tolist()
    [stage] = DivPrune().schedule(Size(n, 32, n), budget)
    kept = DivPrune().keep(Signals(line(n), features), stage)
    assert_same_set(kept.index, golden["keep"])


def run_tower_merging(method: Method) -> None:
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


RUNNERS = {
    "clsattn": run_clsattn,
    "fopru": run_fopru,
    "divprune": run_divprune,
    "visionzip": run_tower_merging(VisionZip()),
}
