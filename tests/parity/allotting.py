"""QuoTA and DyCoke: what frames of a video get of a budget."""

from __future__ import annotations

import torch

from explorer.analyses.video import quota
from explorer.methods.frames.dycoke import DyCoke
from explorer.methods.signals import Signals, Size
from parity.reading import Golden, assert_close, assert_same_set
from parity.selection import decimal


def run_quota(golden: Golden) -> None:
    """Versions 1 and 2; 3 to 5 of the official code break down behind this step."""
    side, budget = int(golden["side"]), int(golden["budget"])
    scores = golden["yes_prob"].double().round(decimals=6).tolist()
    raw = golden["weights_raw"]
    shares = quota.frame_weights(scores)
    assert_close(torch.tensor(shares), raw / raw.sum())
    assert_close(
        torch.tensor(quota.cap_weights(shares, side**2 / budget)), golden["weights_capped"]
    )
    for version in quota.VERSIONS:
        grids = quota.grid_shapes(scores, budget, side**2, version=version)
        kept = [number for number, grid in enumerate(grids) if grid[0]]
        assert kept == golden[f"{version}_frames"].tolist()
        assert [list(grids[number]) for number in kept] == golden[f"{version}_shape"][
            :, :2
        ].tolist()
        frames = quota.resize_frames(golden["features"], grids, version)
        assert_close(torch.cat(frames), golden[f"{version}_out"], relative=1e-5)
        if version == "v1":
            newline = torch.full((golden["features"].shape[-1],), 7.0)
            rows = [quota.with_newlines(frames[n], grids[n], newline) for n in kept]
            assert_close(torch.cat(rows), golden["v1_with_newline"], relative=1e-5)


def run_dycoke(golden: Golden) -> None:
    """The official function, which loses the last of an odd number of frames."""
    frames, patches = int(golden["frames"]), int(golden["tokens_per_frame"])
    method, features = DyCoke(official=True), golden["features"]
    frame = torch.arange(frames).repeat_interleave(patches)
    place = torch.stack([frame, frame * 0, torch.arange(patches).repeat(frames)], 1)
    signals = Signals(place, features, frame_position=place)
    counts = golden["count_per_frame"].tolist()
    per = int((1 - decimal(golden["merging_ratio"])) * patches)  # in double, as it is written
    assert set(counts) <= {patches, per, 0}
    size = Size(frames * patches, 32, patches, frames=frames)
    [stage] = method.schedule(size, sum(counts))
    kept = method.keep(signals, stage)
    assert_same_set(kept.index, golden["keep"])
    assert (kept.index // patches).bincount(minlength=frames).tolist() == counts
    assert torch.equal(kept.features, golden["out"])
    assert torch.equal(features[golden["order"]], kept.features)
    raster = DyCoke(official=True, order="raster").keep(signals, stage)
    assert raster.features is None and torch.equal(raster.index, kept.index)


RUNNERS = {"quota": run_quota, "dycoke": run_dycoke}
