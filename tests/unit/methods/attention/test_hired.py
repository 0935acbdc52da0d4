"""What HiRED does."""

from __future__ import annotations

import pytest
import torch
from random_signals import EVERY_CONTENT, EVERY_LAYOUT, budgets, grid, run_stages, size_of
from torch import Tensor

from explorer.media.layouts import tiled
from explorer.methods.attention.hired import HiRED
from explorer.methods.ops.crops import crop_of, inside
from explorer.methods.signals import Signals, Size, Stage

PAPER = {"budget_score": "sum", "areas": "spatial"}
N = 16  # patches of a crop, 4 x 4


def quarters(first: Tensor, late: Tensor) -> Signals:
    """The whole picture and its four quarters, with one head, as LLaVA-NeXT reads them.

    first [16], late [5, 16]: attention of [CLS] in the first layer and in the late one.
    """
    layout = tiled(8, 8, 2, 2, 4, thumbnail="first", newline=True)
    place, patches = (torch.from_numpy(x.astype("int64")) for x in (layout.place, layout.patches))
    return Signals(
        grid_position=place,
        features=torch.zeros(len(place), 1),
        patches=patches,
        cls_attention=late[:, None],
        first_cls_attention=torch.cat([first[None], torch.zeros(4, N)])[:, None],
        areas=torch.tensor([[0.0, 0, 1, 1], [0.0, 0, 1, 1]]),
    )


def kept_of_each(signals: Signals, keep: int, **options) -> list[int]:
    """How many tokens of the whole picture and of every quarter are kept."""
    kept = HiRED(**options).keep(signals, Stage(0, keep)).index
    return crop_of(signals, N)[kept].bincount(minlength=5).tolist()


def test_with_one_view_hired_keeps_what_cls_looks_at_summed_over_heads():
    rows = torch.tensor([[[0.5, 0.1, 0.2, 0.2], [0.0, 0.6, 0.3, 0.1]]])
    signals = Signals(
        grid(2, 2), torch.zeros(4, 1), patches=torch.arange(4)[:, None], cls_attention=rows
    )
    assert torch.allclose(HiRED().score(signals), torch.tensor([0.5, 0.7, 0.5, 0.3]))
    assert HiRED().keep(signals, Stage(0, 2)).index.tolist() == [0, 1]
    assert HiRED().schedule(Size(576, 32, 24), 115) == [Stage(0, 115)]


def random_late(seed: int = 3) -> Tensor:
    return torch.randn(5, N, generator=torch.Generator().manual_seed(seed)).softmax(1)


def test_the_code_shares_by_strips_and_the_paper_by_quarters():
    """There is something to see only in the upper right quarter, tokens 2, 3, 6 and 7."""
    first = torch.full((N,), 0.0)
    first[[2, 3, 6, 7]] = 0.25
    signals = quarters(first, random_late())
    # of 16 tokens 8 are for the whole picture; the paper gives the rest to quarter 2
    assert kept_of_each(signals, 16, **PAPER) == [8, 0, 8, 0, 0]
    # the code: the top 8 are those four and, being all equal, 0, 1, 4 and 5: strips 1 and 2 of four
    assert kept_of_each(signals, 16) == [8, 4, 4, 0, 0]
    # by quarters, the same eight are the quarters 1 and 2
    assert kept_of_each(signals, 16, areas="spatial") == [8, 4, 4, 0, 0]
    assert kept_of_each(signals, 16, budget_score="sum") == [8, 4, 4, 0, 0]


def test_a_strip_is_not_a_quarter():
    """There is something to see in the left half: half of every strip, but quarters 1 and 3."""
    left = torch.tensor([1.0, 1, 0, 0]).repeat(4)
    signals = quarters(left / 8, random_late())
    assert kept_of_each(signals, 16) == [8, 2, 2, 2, 2]
    assert kept_of_each(signals, 16, **PAPER) == [8, 4, 0, 4, 0]


def test_alpha_is_the_share_of_the_whole_picture_and_the_threshold_of_the_count():
    first = torch.arange(N).float()
    signals = quarters(first, random_late())
    # alpha 3/4: 12 of 16 for the whole picture; the top int(16 / 4) tokens are in the last strip
    assert kept_of_each(signals, 16, alpha=0.75) == [12, 0, 0, 0, 4]
    # alpha 1/4: 4 for the whole picture; the top 12 tokens are in strips 2, 3 and 4
    assert kept_of_each(signals, 16, alpha=0.25) == [4, 0, 4, 4, 4]


def official(signals: Signals, first: Tensor, late: Tensor, total: int, alpha: float) -> set[int]:
    """The released code, spelled out: (crop, patch) of what it keeps out of 5 x 16."""
    whole = min(int(total * alpha), N)
    left = min(total - whole, 4 * N)
    order = sorted(range(N), key=lambda j: -float(first[j]))
    chosen = order[: int(N * (1 - alpha))]
    counts = [sum(j // 4 == strip for j in chosen) for strip in range(4)]
    budget = [whole, *(min(int(c / sum(counts) * left), N) for c in counts)]
    kept = set()
    for crop in range(5):
        best = sorted(range(N), key=lambda j: -float(late[crop, j]))
        kept |= {crop * N + j for j in best[: budget[crop]]}
    return kept


@pytest.mark.parametrize("alpha", HiRED.options()["alpha"].values)
def test_at_every_budget_the_official_tokens_are_among_the_kept(alpha):
    first = torch.randn(N, generator=torch.Generator().manual_seed(1)).softmax(0)
    late = random_late()
    signals = quarters(first, late)
    for total in range(1, 81):
        kept = HiRED(alpha=alpha).keep(signals, Stage(0, total)).index
        ours = set(signals.patches[kept, 0].tolist())
        theirs = official(signals, first, late, total, alpha)
        assert theirs <= ours
        # what the cut off shares leave over: less than a token per crop, until a crop is full
        if total <= 40:
            assert total - len(theirs) < 5


def test_newlines_come_last():
    signals = quarters(torch.ones(N) / N, random_late())
    newline = signals.grid_position[:, 0] < 0
    assert int(newline.sum()) == 8
    kept = HiRED().keep(signals, Stage(0, 80)).index
    assert not newline[kept].any()


def test_a_blank_picture_has_equal_crops():
    signals = quarters(torch.zeros(N), random_late())
    assert kept_of_each(signals, 16, **PAPER) == [8, 2, 2, 2, 2]


def test_areas_of_crops_that_share_one_grid_and_of_crops_that_are_views():
    put_together = quarters(torch.zeros(N), random_late())
    rows = inside(put_together, crop_of(put_together, N), 4)
    column, row = torch.arange(N) % 4, torch.arange(N) // 4
    corners = [(True, True), (True, False), (False, True), (False, False)]
    for number, (upper, left) in enumerate(corners):
        expected = ((row < 2) == upper) & ((column < 2) == left)
        assert torch.equal(rows[number], expected), number
    # two crops as views of their own: the left third, and the rest
    view = torch.cat([grid(3, 3), grid(3, 3, 1), grid(3, 3, 2)])
    apart = Signals(
        view,
        torch.zeros(27, 1),
        patches=torch.arange(27)[:, None],
        areas=torch.tensor([[0.0, 0, 1, 1], [0.0, 0, 1 / 3, 1], [1 / 3, 0, 1, 1]]),
    )
    left, right = inside(apart, crop_of(apart, 9), 2)
    assert left.nonzero()[:, 0].tolist() == [0, 3, 6]
    assert torch.equal(right, ~left)


@EVERY_LAYOUT
@EVERY_CONTENT
def test_towers_without_cls_are_served_too(layout, content):
    for budget in budgets(HiRED(), size_of(layout, cls=False)):
        for _, stage, kept in run_stages(HiRED(), budget, layout, content, cls=False):
            assert len(kept.index) == stage.keep
