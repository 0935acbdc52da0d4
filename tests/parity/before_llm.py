"""SCOPE and VisPruner: which tokens they choose, and in which order, in every crop."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from explorer.methods.attention.vispruner import VisPruner, cosines
from explorer.methods.signals import Signals, Size
from explorer.methods.similarity.scope import SCOPE, gains
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
        cosine, cover, weight = unit @ unit.T, torch.zeros(n), scores**alpha
        method = SCOPE(alpha=alpha)
        assert_close(method.value(gains(cosine, cover), weight), first)
        for token in order[:-1]:
            cover = torch.maximum(cover, cosine[token])
        free = last.isfinite()
        assert_close(method.value(gains(cosine, cover), weight)[free], last[free])
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
        important, diverse = method.parts(scores[number], cosines(hidden[number]), budget)
        assert important.tolist() == golden["important"][number].tolist()
        assert diverse.tolist() == golden["diverse"][number].tolist()
    [stage] = method.schedule(Size(crops * n, 32, n), crops * budget)
    kept = method.keep(signals, stage).index
    assert kept.tolist() == golden["mask"].flatten().nonzero()[:, 0].tolist()
    first = n * torch.arange(crops)[:, None]
    assert kept.reshape(crops, budget).tolist() == (golden["keep"] + first).tolist()


RUNNERS = {"vispruner": run_vispruner, "scope": run_scope}
