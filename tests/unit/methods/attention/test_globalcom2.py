"""GlobalCom2: where crops lie under the thumbnail, what they get of it, and newlines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from explorer.media.layouts import tiled
from explorer.methods.attention.globalcom2 import GlobalCom2
from explorer.methods.ops import thumbnail
from explorer.methods.ops.crops import crop_of
from explorer.methods.signals import Signals, Stage


def signals_of(grid, views: int, side: int, bright: tuple[int, int] | None = None) -> Signals:
    """Random logits; with `bright`, one patch of the thumbnail that draws all of it."""
    logits = torch.randn(views, 2, side**2, generator=torch.Generator().manual_seed(3))
    if bright:
        logits[0] = 0
        logits[0, :, bright[0] * side + bright[1]] = 40
    return Signals(
        torch.from_numpy(grid.place).long(),
        torch.zeros(grid.count, 4),
        patches=torch.from_numpy(grid.patches).long(),
        last_cls_logits=logits,
    )


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (1, 3), (3, 1), (2, 3)])
@pytest.mark.parametrize("newline", [True, False])
def test_every_crop_gets_what_its_own_part_of_the_thumbnail_shows(rows, columns, newline):
    side, views = 6, rows * columns + 1
    grid = tiled(600, 600, rows, columns, side, thumbnail="first", newline=newline)
    for crop in range(1, views):
        high, wide = side // rows, side // columns
        bright = (crop - 1) // columns * high, (crop - 1) % columns * wide
        signals = signals_of(grid, views, side, bright)
        whole, share = GlobalCom2().crop_shares(signals)
        assert int(share.argmax()) == crop - 1 and share.max() > 1.5 * share.sort().values[-2]
        assert whole == pytest.approx(1 / views)
        kept = GlobalCom2().keep(signals, Stage(0, 40)).index
        counts = crop_of(signals, side**2)[kept]
        counts = counts[counts > 0].bincount(minlength=views)[1:]
        assert int(counts.argmax()) == crop - 1


def test_cut_off_padding_does_not_move_crops():
    """A wide picture on 2 x 2 crops: two rows of tokens are cut off above and below."""
    grid = tiled(600, 400, 2, 2, 6, thumbnail="first", newline=True, cut=(2, 0))
    signals = signals_of(grid, 5, 6)
    crop = crop_of(signals, 36)
    values = torch.arange(len(crop)).float()
    sums = thumbnail.cell_sums(signals, values, crop, 4)
    cells = torch.arange(36).reshape(6, 6).double()
    quarters = [cells[:3, :3], cells[:3, 3:], cells[3:, :3], cells[3:, 3:]]
    assert sums.tolist() == [float(quarter.sum()) for quarter in quarters]
    tokens = (crop == 1).nonzero()[:, 0]
    over = thumbnail.stretched(signals, values, crop, tokens)
    image = cells.float()[None, None]
    official = torch.nn.functional.interpolate(image, (8, 12), mode="bilinear")
    assert torch.allclose(over, official[0, 0, :4, :6].reshape(-1))


def test_shares_are_cut_off_and_the_rest_goes_to_the_largest_fractions():
    sizes, shares = torch.tensor([10, 10, 10]), torch.tensor([1.0, 1.5, 0.5])
    assert thumbnail.share_out(sizes, shares, 6) == [2, 3, 1]
    assert thumbnail.share_out(sizes, shares, 7) == [2, 4, 1]
    assert thumbnail.share_out(sizes, shares, 29) == [10, 10, 9]
    assert thumbnail.share_out(sizes, shares, 30) == [10, 10, 10]
    assert thumbnail.share_out(torch.tensor([4, 0]), torch.tensor([1.0, 1.0]), 3) == [3, 0]


def test_newlines_take_from_the_budget_first_or_go_first():
    grid = tiled(600, 600, 2, 2, 6, thumbnail="first", newline=True)
    signals = signals_of(grid, 5, 6)
    ends = signals.patches[:, 0] < 0
    assert int(ends.sum()) == 12
    for budget, kept, dropped in ((100, 12, 0), (10, 5, 0), (grid.count - 3, 12, 9)):
        stage = Stage(0, budget)
        index = GlobalCom2().keep(signals, stage).index
        assert len(index) == budget and int(ends[index].sum()) == kept
        index = GlobalCom2(newlines="drop").keep(signals, stage).index
        assert len(index) == budget and int(ends[index].sum()) == dropped


def test_a_single_view_and_a_tower_without_cls_are_ranked_too():
    place = np.array([[0, row, column] for row in range(3) for column in range(3)])
    signals = Signals(
        torch.from_numpy(place),
        torch.zeros(9, 4),
        patches=torch.arange(9)[:, None],
        last_cls_logits=torch.randn(1, 2, 9, generator=torch.Generator().manual_seed(5)),
    )
    z = signals.last_cls_logits.mean(1)[0]
    assert GlobalCom2().crop_shares(signals) is None
    kept = GlobalCom2().keep(signals, Stage(0, 4)).index.tolist()
    assert kept == sorted(z.topk(4).indices.tolist())
    logits = torch.randn(1, 9, 9, generator=torch.Generator().manual_seed(6))
    without = replace(signals, last_cls_logits=None, patch_logits=logits)
    best = logits[0].mean(0).topk(4).indices
    assert GlobalCom2().keep(without, Stage(0, 4)).index.tolist() == sorted(best.tolist())
