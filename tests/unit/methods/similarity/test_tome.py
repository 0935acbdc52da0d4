"""What ToMe does, on lists that fit on a page."""

from __future__ import annotations

import torch
from random_signals import NEWLINES, grid, tower_signals

from explorer.methods.ops.groups.bipartite import halvings, merged, merged_down
from explorer.methods.ops.merging import group_means
from explorer.methods.signals import Signals, Stage
from explorer.methods.similarity.tome import ToMe

ANGLES = torch.tensor([0.0, 0.1, 1.5, 2.0, 0.05, 3.0])
X = torch.stack([ANGLES.cos(), ANGLES.sin()], 1)


def signals_of(hidden: torch.Tensor) -> Signals:
    n, width = hidden.shape
    return Signals(
        grid(1, n),
        hidden,
        patches=torch.arange(n)[:, None],
        hidden=hidden[None],
        keys=torch.zeros(1, n, width),
        project=lambda x: 10 * x,
    )


def test_the_best_pair_becomes_its_mean():
    # 0, 2, 4 meet 1, 3, 5: 4 is nearest to its match, 1; the others stay in falling likeness
    assert merged_down(halvings(X), 5).tolist() == [0, 2, 1, 3, 2, 4]
    kept = ToMe().keep(signals_of(X), Stage(0, 0, 5))
    assert torch.allclose(kept.merged[2], 10 * (X[1] + X[4]) / 2)
    assert torch.allclose(kept.merged[0], 10 * X[0])


def test_rounds_halve_the_list_until_enough_are_gone():
    x = torch.randn(21, 6, generator=torch.Generator().manual_seed(1))
    lists = halvings(x)
    assert [len(each.size) for each in lists] == [21, 11, 6, 3, 2, 1]
    for each in lists:
        count = len(each.size)
        assert torch.equal(merged_down(lists, count), each.group)
        assert torch.equal(each.size, each.group.bincount(minlength=count).float())
        assert torch.allclose(each.metric, group_means(x, each.group), atol=1e-6)
    assert torch.equal(merged_down(lists, 4), merged(lists[2], 2).group)


def test_nothing_is_thrown_away():
    for layout in ("square", "wide", "merged 2x2"):
        signals = tower_signals(layout)
        kept = ToMe().keep(signals, Stage(0, 0, 7))
        assert (kept.group >= 0).all()
        size = kept.group.bincount(minlength=7).float()
        x = signals.features
        if layout != "merged 2x2":  # there tokens are merged behind the projector
            x = signals.project(signals.hidden[0])
        assert torch.allclose(size @ kept.merged / size.sum(), x.mean(0), atol=1e-5)


def test_groups_may_stand_where_their_patches_do():
    for listed, place in (("first", min), ("median", lambda m: sorted(m)[(len(m) - 1) // 2])):
        group = ToMe(listed=listed).keep(tower_signals("square"), Stage(0, 0, 6)).group.tolist()
        places = [place([t for t, g in enumerate(group) if g == number]) for number in range(6)]
        assert places == sorted(places)


def test_newlines_leave_first_and_are_never_averaged():
    signals = tower_signals("newlines")
    kept = ToMe().keep(signals, Stage(0, 0, 16))
    assert (kept.group[NEWLINES[:, 0] < 0] == -1).all()
    kept = ToMe().keep(signals, Stage(0, 0, 17))
    newline = int((NEWLINES[:, 0] < 0).nonzero()[0, 0])
    assert kept.group[newline] == 16
    assert torch.equal(kept.merged[16], signals.features[newline])


def test_scores_tell_how_unlike_any_other_a_patch_is():
    x = torch.tensor([[1.0, 0], [1, 0], [0, 1], [-1, 0.1]])
    scores = ToMe().score(signals_of(x))
    assert torch.allclose(scores[:2], torch.zeros(2)) and (scores[2:] > 0.5).all()
