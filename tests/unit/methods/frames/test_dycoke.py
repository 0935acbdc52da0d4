"""DyCoke's windows, and what they keep at every budget that there is."""

from __future__ import annotations

import pytest
import torch

from explorer.errors import BadBudget
from explorer.methods import catalog
from explorer.methods.chance import chance_of
from explorer.methods.frames.dycoke import DyCoke
from explorer.methods.frames.windows import LOST, WHOLE, compared, counts
from explorer.methods.signals import Signals, Size, Stage

PATCHES, WIDTH = 6, 5


def film(frames: int, extra: int = 0) -> tuple[Signals, Size]:
    """Frames of 2 x 3 patches, and tokens of no frame behind them."""
    cell = torch.cartesian_prod(torch.arange(frames), torch.arange(2), torch.arange(3))
    place = torch.cat([cell, torch.full((extra, 3), -1)])
    features = torch.randn(len(place), WIDTH, generator=torch.Generator().manual_seed(frames))
    signals = Signals(place, features, frame_position=place)
    return signals, Size(len(place), 12, 3, frames=frames)


def test_whole_frames_of_windows_of_four_are_those_of_the_official_loops():
    whole = {8: [0, 4, 6], 10: [0, 4, 8], 14: [0, 4, 8, 12], 16: [0, 4, 8, 12, 14], 4: [0, 2]}
    for frames, wanted in whole.items():
        others = compared(frames, 4)
        assert [frame for frame, other in enumerate(others) if other == WHOLE] == wanted
        for frame, other in enumerate(others):
            assert other in (WHOLE, frame - 1 if frame % 2 else frame - 2)
    assert compared(13, 4)[12] == WHOLE and compared(13, 4, lose_last=True)[12] == LOST
    assert compared(15, 4)[14] == WHOLE  # lost by the code: whole here
    assert [other for other in compared(32, 4) if other == WHOLE] == [WHOLE] * 9
    assert compared(9, 8) == [-1, 0, 0, 2, 0, 4, 0, 6, -1]


def test_published_counts_come_back():
    """32 frames of 196 at rho = .7: 9 whole ones, 23 with 58 each."""
    size = Size(32 * 196, 28, 14, frames=32)
    assert DyCoke(below="refuse").floor(size) == 9 * 196
    found = counts(compared(32, 4), 196, 1764 + 23 * 58)
    assert sorted(set(found)) == [58, 196] and sum(found) == 3098


@pytest.mark.parametrize("spec", ["dycoke", "dycoke?official=True", "dycoke?order=raster"])
@pytest.mark.parametrize("extra", [0, 1])
def test_every_budget_from_the_floor_on_is_kept_to_the_token(spec, extra):
    method = catalog.resolve(spec)
    for frames in (1, 2, 3, 4, 5, 8, 9, 16, 17):
        signals, size = film(frames, extra)
        floor = method.floor(size)
        assert PATCHES <= floor <= size.tokens
        for budget in range(floor, size.tokens + 1):
            kept = method.keep(signals, *method.schedule(size, budget))
            assert len(kept.index) == budget, (frames, budget)
            assert (kept.index.diff() > 0).all()
            assert set(range(size.tokens - extra, size.tokens)) <= set(kept.index.tolist())
        assert kept.features is None, "all tokens stay as they are"
        score = method.score(signals)
        assert score.shape == (size.tokens,) and score.dtype == torch.float32
        if floor > 1:
            with pytest.raises(BadBudget, match=f"^DyCoke.*at least {floor}"):
                method.schedule(size, floor - 1)


def test_thinned_frames_keep_what_has_changed_in_the_order_of_change():
    signals, _ = film(8)
    x = signals.features.view(8, PATCHES, WIDTH)
    kept = DyCoke().keep(signals, Stage(0, 3 * PATCHES + 5 * 2))
    at = 0
    for frame, other in enumerate(compared(8, 4)):
        rows = kept.features[(kept.index // PATCHES) == frame]
        if other < 0:
            assert torch.equal(rows, x[frame])
            continue
        cosine = torch.cosine_similarity(x[frame], x[other], dim=1)
        assert torch.equal(rows, x[frame][cosine.argsort()[:2]])
        at += 1
    assert at == 5
    raster = DyCoke(order="raster").keep(signals, Stage(0, len(kept.index)))
    assert torch.equal(raster.index, kept.index) and raster.features is None
    stays = DyCoke(positions="keep").keep(signals, Stage(0, len(kept.index)))
    assert stays.features is None, "another patch's position would be wrong"


def test_a_video_that_stands_still_keeps_the_first_patches():
    signals, _ = film(4)
    features = signals.features[:PATCHES].repeat(4, 1)
    still = Signals(signals.grid_position, features, frame_position=signals.frame_position)
    kept = DyCoke().keep(still, Stage(0, 2 * PATCHES + 4)).index
    assert kept[(kept // PATCHES) == 1].tolist() == [6, 7]


def test_it_is_offered_for_videos_alone_and_a_picture_stays_as_it_is():
    assert "dycoke" in [method.spec for method in catalog.choices_of_videos()]
    assert "dycoke" not in [method.spec for method in catalog.choices()]
    assert catalog.find("dycoke") is DyCoke and chance_of("dycoke") == "random"
    assert DyCoke().floor(Size(196, 12, 14)) == 196
    with pytest.raises(BadBudget, match="frames of a video"):
        DyCoke().schedule(Size(196, 12, 14), 64)
