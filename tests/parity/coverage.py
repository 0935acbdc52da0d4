"""SCOPE: which tokens it adds, one by one, in every crop of a recording."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from explorer.methods.signals import Signals, Size
from explorer.methods.similarity.scope import SCOPE, gains
from parity.reading import Golden, assert_close, assert_same_set, batch, line


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


RUNNERS = {"scope": run_scope}
