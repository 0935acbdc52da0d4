"""SCOPE, VisPruner, HoloV, HiPrune, PruMerge, ToMe: whom they choose or merge, in which order."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch.nn.functional import normalize

from explorer.inference.tower_layers import joined_keys, received_attention, wide_cls_attention
from explorer.methods.attention import holov
from explorer.methods.attention.hiprune import HiPrune
from explorer.methods.attention.holov import HoloV
from explorer.methods.attention.prumerge import PruMerge
from explorer.methods.attention.vispruner import VisPruner, alike
from explorer.methods.ops import strips
from explorer.methods.ops.groups.bipartite import halvings, matched
from explorer.methods.ops.outliers import grid_step, outliers
from explorer.methods.signals import Signals, Size, Stage
from explorer.methods.similarity.scope import SCOPE, gains
from explorer.methods.similarity.tome import ToMe
from parity.reading import Golden, assert_close, assert_same_set, batch, line
from parity.selection import by_crop


def run_scope(golden: Golden) -> None:
    alpha, budget = round(float(golden["alpha"]), 6), int(golden["budget"])
    names = ("cls_attention", "hidden", "scores", "order", "keep", "order_add")
    names += ("first_gains", "last_gains")
    for rows, hidden, scores, order, keep, order_add, first, last in batch(golden, *names):
        n = len(hidden)
        signals = Signals(
            line(n),
            hidden,
            patches=torch.arange(n)[:, None],
            cls_attention=rows[None],
            hidden=hidden[None],
        )
        assert_close(rows.sum(0), scores)
        unit = normalize(hidden, dim=1)
        cosine, weight = (unit @ unit.T).numpy(), (scores**alpha).numpy()
        cover = np.zeros(n, np.float32)
        method = SCOPE(alpha=alpha)
        assert_close(torch.from_numpy(method.value(gains(cosine, cover), weight)), first)
        for token in order[:-1]:
            cover = np.maximum(cover, cosine[token])
        free, found = last.isfinite(), torch.from_numpy(method.value(gains(cosine, cover), weight))
        assert_close(found[free], last[free])
        assert method.order(signals)[:budget].tolist() == order.tolist()
        [stage] = method.schedule(Size(n, 32, n), budget)
        assert_same_set(method.keep(signals, stage).index, keep)
        added = SCOPE(alpha=alpha, combined="add").order(signals)
        assert added[:budget].tolist() == order_add.tolist()


def run_vispruner(golden: Golden) -> None:
    method = VisPruner(important_ratio=round(float(golden["important_ratio"]), 6))
    rows, hidden, budget = golden["cls_attention"], golden["hidden"], int(golden["budget"])
    crops, n = hidden.shape[:2]
    signals = Signals(
        **by_crop(crops, n),
        features=hidden.flatten(0, 1),
        cls_attention=rows,
        hidden=hidden,
    )
    scores = method.score(signals).reshape(crops, n)
    assert_close(scores, golden["scores"])
    for number in range(crops):
        cosine = alike(signals, torch.arange(number * n, number * n + n))
        important, diverse = method.parts(scores[number], cosine, budget)
        assert important.tolist() == golden["important"][number].tolist()
        assert diverse.tolist() == golden["diverse"][number].tolist()
    [stage] = method.schedule(Size(crops * n, 32, n), crops * budget)
    kept = method.keep(signals, stage).index
    assert kept.tolist() == golden["mask"].flatten().nonzero()[:, 0].tolist()
    first = n * torch.arange(crops)[:, None]
    assert kept.reshape(crops, budget).tolist() == (golden["keep"] + first).tolist()


def run_holov(golden: Golden) -> None:
    x, seen, crops, budget = (
        golden["features"],
        golden["attention"],
        golden["crops"],
        golden["budget"],
    )
    n, budget, crops = len(x), int(budget), int(crops)
    signals = Signals(
        line(n), x, patches=torch.arange(n)[:, None], cls_attention=golden["cls_attention"][None]
    )
    assert_close(HoloV().score(signals), seen)
    assert holov.strip_count(n, budget) == int(golden["crops_by_rule"])
    pieces = strips.runs(seen, crops)
    h = [holov.holistic(x[at], seen[at]) for at in pieces]
    assert_close(torch.cat([each.flatten() for each in h]), golden["holistic"])
    scores = torch.cat([each.mean(1) for each in h])
    assert_close(scores, golden["crop_scores"])
    assert_close(strips.shares(scores), golden["weights"])
    assert strips.quotas(strips.shares(scores), budget).tolist() == golden["allocated"].tolist()
    order = HoloV().order(x, seen, pieces, budget)
    official = golden["order"][golden["order"] >= 0].tolist()
    assert len(official) == budget - int(golden["missing"])
    if len(official) == budget:
        assert order.tolist() == official
        assert_close(x[order], golden["tokens"])
    # where the code fills up with zeros, ours has more tokens beside the same
    assert len(set(order.tolist())) == budget
    assert set(official) <= set(order.tolist())
    assert set(official) == set(golden["keep"].tolist())
    if crops == holov.strip_count(n, budget):
        [stage] = HoloV().schedule(Size(n, 32, n), budget)
        assert HoloV().keep(signals, stage).index.tolist() == sorted(order.tolist())


def run_tome(golden: Golden) -> None:
    hidden, keys, heads = golden["hidden"], golden["keys"], int(golden["heads"])
    n, budget = len(hidden), int(golden["budget"])
    signals = Signals(
        line(n),
        hidden,
        patches=torch.arange(n)[:, None],
        hidden=hidden[None],
        keys=torch.zeros(1, n, hidden.shape[1] // heads),
        project=lambda x: x,  # the recording bypasses the projector
    )
    metric = ToMe().compared(signals, hidden)
    best, match = matched(metric)
    assert_close(best, golden["first_best"])
    assert match.tolist() == golden["first_match"].tolist()
    lengths = [len(each.size) for each in halvings(metric) if len(each.size) >= budget]
    rounds = [before - after for before, after in pairwise([*lengths, budget])]
    assert list(filter(None, rounds)) == golden["rounds"].tolist()
    [stage] = ToMe().schedule(Size(n, 32, n), budget)
    kept = ToMe().keep(signals, stage)
    assert kept.group.tolist() == golden["group"].tolist()
    assert kept.group.bincount().tolist() == golden["sizes"].tolist()
    assert_close(kept.merged, golden["merged"])
    by_keys = replace(signals, keys=keys[None])
    kept = ToMe(metric="keys").keep(by_keys, Stage(0, 0, n - int(golden["keys_r"])))
    assert kept.group.tolist() == golden["keys_group"].tolist()
    assert kept.group.bincount().tolist() == golden["keys_sizes"].tolist()
    assert_close(kept.merged, golden["keys_merged"])


def run_prumerge(golden: Golden) -> None:
    query, key, hidden = (
        golden["q_cls"][None, None, None],
        golden["k"][None, None],
        golden["hidden"],
    )
    n = len(hidden)
    signals = Signals(
        line(n),
        hidden,
        patches=torch.arange(n)[:, None],
        wide_cls_attention=wide_cls_attention(query, key, 1.0),
        last_keys=joined_keys(query, key, 1.0)[:, 1:],
        hidden=hidden[None],
        project=lambda x: x,  # `out` is before the projector
    )
    plus = golden["variant"] == "plus"
    method = PruMerge(grid=plus)
    scores = method.score(signals)
    assert_close(scores, golden["scores"])
    amount = outliers(scores)
    assert amount == int(golden["outliers"])
    runs = ("",) if plus else ("adaptive_", "fixed_")
    if plus:
        assert amount == int(golden["top"])
        assert grid_step(n, amount) == int(golden["step"])
    for run in runs:
        order, keep, out = (golden[f"{run}{name}"] for name in ("order", "keep", "out"))
        if run == "adaptive_":
            assert len(order) == amount
        if run == "fixed_":
            assert len(order) == int(n * round(float(golden["ratio"]), 6))
        [stage] = method.schedule(Size(n, 32, n), len(order) + 1)
        kept = method.keep(signals, stage)
        assert kept.centre.tolist() == [*order.tolist(), -1]
        assert_same_set(kept.centre[:-1].sort().values, keep)
        assert_close(kept.merged, out)


def run_hiprune(golden: Golden) -> None:
    names = ("object_q", "object_k", "deep_q", "deep_k", "object_received", "deep_received")
    names += ("anchors", "anchored", "registers", "keep", "mask")
    method = HiPrune(alpha=round(float(golden["alpha"]), 6))
    crops, n = golden["object_received"].shape
    columns, share = int(golden["columns"]), int(golden["retention"]) // crops
    for oq, ok, dq, dk, middle, deep, anchors, anchored, registers, keep, mask in batch(
        golden, *names
    ):
        scaling = oq.shape[-1] ** -0.5
        received = received_attention(oq[None], ok[None], scaling)[:, 1:]
        attention = (dq @ dk.mT * scaling).softmax(-1)[None]
        signals = Signals(
            line(n, columns),
            torch.zeros(n, 1),
            patches=torch.arange(n)[:, None],
            object_attention=received,
            patch_attention=attention[:, :, 1:, 1:].mean(1),
            cls_attention=attention[:, :, 0, 1:],
        )
        assert_close(received[0], middle)
        assert_close(method.score(signals), deep)
        parts = method.parts(received[0], method.score(signals), share, columns)
        for own, official in zip(parts, (anchors, anchored, registers), strict=True):
            assert own.tolist() == official[official >= 0].tolist()
        [stage] = method.schedule(Size(n, 32, columns), share)
        kept = method.keep(signals, stage).index
        assert kept.tolist() == keep[keep >= 0].tolist() == mask.nonzero()[:, 0].tolist()


RUNNERS = {
    "scope": run_scope,
    "vispruner": run_vispruner,
    "holov": run_holov,
    "hiprune": run_hiprune,
    "prumerge": run_prumerge,
    "tome": run_tome,
}
