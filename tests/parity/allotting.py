"""QuoTA: shares, grids and resized tokens of frames."""

from __future__ import annotations

import torch

from explorer.analyses.video import quota
from parity.reading import Golden, assert_close


def run_quota(golden: Golden) -> None:
    """Versions 1 and 2; 3 to 5 of the official code break down behind this step."""
    side, budget = int(golden["side"]), int(golden["budget"])
    scores = golden["yes_prob"].double().round(decimals=6).tolist()
    raw = golden["weights_raw"]
    shares = quota.weights(scores)
    assert_close(torch.tensor(shares), raw / raw.sum())
    assert_close(torch.tensor(quota.capped(shares, side**2 / budget)), golden["weights_capped"])
    for version in quota.VERSIONS:
        grids = quota.shapes(scores, budget, side**2, version=version)
        kept = [number for number, grid in enumerate(grids) if grid[0]]
        assert kept == golden[f"{version}_frames"].tolist()
        assert [list(grids[number]) for number in kept] == golden[f"{version}_shape"][
            :, :2
        ].tolist()
        frames = quota.resized(golden["features"], grids, version)
        assert_close(torch.cat(frames), golden[f"{version}_out"], relative=1e-5)
        if version == "v1":
            newline = torch.full((golden["features"].shape[-1],), 7.0)
            rows = [quota.with_newlines(frames[n], grids[n], newline) for n in kept]
            assert_close(torch.cat(rows), golden["v1_with_newline"], relative=1e-5)


RUNNERS = {"quota": run_quota}
