"""What PruMerge does, on pictures that fit on a page."""

from __future__ import annotations

import torch
from random_signals import NEWLINES, grid, tower_signals

from explorer.methods.attention.prumerge import PruMerge
from explorer.methods.ops.outliers import centres, most_with_grid, outliers, with_grid
from explorer.methods.signals import Signals, Stage

SCORES = torch.tensor([0.1, 0.5, 0.1, 0.2])


def signals_of(scores: torch.Tensor, width: int = 3) -> Signals:
    n = len(scores)
    generator = torch.Generator().manual_seed(3)
    return Signals(
        grid(1, n),
        torch.zeros(n, width),
        patches=torch.arange(n)[:, None],
        wide_cls_attention=scores[None],
        last_keys=torch.randn(1, n, 5, generator=generator),
        hidden=torch.randn(1, n, width, generator=generator),
        project=lambda x: 10 * x,
    )


def test_a_centre_adds_its_neighbours_and_the_last_token_sums_the_rest():
    signals = signals_of(SCORES)
    x = signals.hidden[0]
    kept = PruMerge().keep(signals, Stage(0, 0, 3))
    assert kept.centre.tolist() == [1, 3, -1]
    assert kept.group.tolist() == [2, 0, 2, 1]
    weighted = SCORES[:, None] * x
    # fewer than 32 others: all of them are neighbours
    for row, centre in enumerate((1, 3)):
        expected = x[centre] + weighted.sum(0) - weighted[centre]
        assert torch.allclose(kept.merged[row], 10 * expected, atol=1e-5)
    assert torch.allclose(kept.merged[2], 10 * (weighted[0] + weighted[2]), atol=1e-5)
    assert torch.allclose(10 * kept.mix(x), kept.merged, atol=1e-5)


def test_neighbours_are_the_32_most_alike_and_not_itself():
    scores = torch.full((50,), 0.02)
    signals = signals_of(scores)
    kept = PruMerge().keep(signals, Stage(0, 0, 2))
    made = kept.mix(torch.eye(50))[0]
    assert made[0] == 1 and int((made[1:] > 0).sum()) == 32
    unit = torch.nn.functional.normalize(signals.last_keys[0], dim=1)
    alike = (unit @ unit[0])[1:]
    assert set((made[1:] > 0).nonzero()[:, 0].tolist()) == set(alike.topk(32).indices.tolist())


def test_an_outlier_lies_above_the_whisker_of_a_box_plot():
    scores = torch.cat([torch.linspace(0.01, 0.02, 20), torch.tensor([0.1, 0.2])])
    assert outliers(scores) == 2
    assert outliers(torch.full((9,), 0.1)) == 1, "of equals none sticks out; one is taken"


def test_the_grid_gets_as_close_as_the_budget_lets_it():
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    for count in range(60):
        amount = most_with_grid(order, count)
        sizes = [len(with_grid(order, m)) for m in range(1, 21)]
        fitting = [m for m, size in enumerate(sizes, 1) if size <= count]
        assert amount == max(fitting, default=0)
        chosen = centres(60 - order.argsort().float(), count, True)
        assert len(chosen.unique()) == count
        assert set(order[:amount].tolist()) <= set(chosen.tolist())


def test_plus_keeps_an_even_grid_too():
    scores = torch.cat([torch.zeros(30), torch.rand(30) + 1])  # all is in the second half
    plain = PruMerge().keep(signals_of(scores), Stage(0, 0, 17)).centre[:-1]
    plus = PruMerge(grid=True).keep(signals_of(scores), Stage(0, 0, 17)).centre[:-1]
    assert (plain >= 30).all() and (plus < 30).any()


def test_every_view_sums_its_own_rest():
    kept = PruMerge().keep(tower_signals("two views"), Stage(0, 0, 7))
    assert (kept.centre < 0).nonzero()[:, 0].tolist() == [3, 6]
    assert (kept.group[:12] <= 3).all() and (kept.group[12:] > 3).all()


def test_newlines_stay_only_where_patches_are_too_few():
    signals = tower_signals("newlines")
    kept = PruMerge().keep(signals, Stage(0, 0, 16))
    assert (kept.group[NEWLINES[:, 0] < 0] == -1).all()
    kept = PruMerge().keep(signals, Stage(0, 0, 18))
    newlines = (NEWLINES[:, 0] < 0).nonzero()[:2, 0]
    assert kept.group[newlines].tolist() == [16, 17]
    assert torch.equal(kept.merged[16:], signals.features[newlines])
