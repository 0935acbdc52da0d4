"""QuoTA: what holds for all shares, budgets and grids, whatever the frames' scores."""

from __future__ import annotations

import itertools
import random

import pytest
import torch

from explorer.analyses.video import quota

SCORES = [
    [0.9, 0.05, 0.4, 0.002],
    [0.25] * 6,
    [1.0, 0.0, 0.0],
    [0.0, 0.0],
    [1e-12, 3e-12, 2e-12],
    [random.Random(3).random() for _ in range(16)],
]
SIDE = 7


@pytest.mark.parametrize("scores", SCORES, ids=str)
@pytest.mark.parametrize("version", quota.VERSIONS)
def test_no_budget_is_overdrawn_and_nothing_is_invented(scores, version):
    for budget in range(1, len(scores) * SIDE**2 + 1):
        for alpha in (0, 1, 2, 4):
            grids = quota.grid_shapes(scores, budget, SIDE**2, alpha, version)
            used = sum(h * w for h, w in grids)
            assert 1 <= used <= budget
            assert all(h - w in (0, 1) for h, w in grids)
            if version == "v2":
                assert max(map(max, grids)) <= SIDE


@pytest.mark.parametrize("scores", SCORES, ids=str)
def test_a_better_frame_never_gets_less(scores):
    for budget in (5, 40, 98):
        for version in quota.VERSIONS:
            grids = quota.grid_shapes(scores, budget, SIDE**2, version=version)
            sizes = [h * w for h, w in grids]
            for (one, a), (other, b) in itertools.pairwise(sorted(zip(scores, sizes, strict=True))):
                assert one == other or a <= b


def test_alpha_zero_is_the_even_share_and_a_large_one_gives_all_to_the_best():
    assert quota.frame_weights([0.9, 0.1, 0.5], alpha=0) == [1 / 3] * 3
    assert quota.frame_weights([0.9, 0.1, 0.5], alpha=60)[0] > 0.999
    assert quota.frame_weights([0.6, 0.3], alpha=2) == pytest.approx([0.8, 0.2])
    assert quota.frame_weights([0.006, 0.003], alpha=2) == pytest.approx([0.8, 0.2]), (
        "only ratios count"
    )


def test_with_all_tokens_and_even_shares_every_frame_stays_as_it_was():
    features = torch.randn(4, SIDE**2, 8, generator=torch.Generator().manual_seed(0))
    grids = quota.grid_shapes([0.3, 0.2, 0.9, 0.1], 4 * SIDE**2, SIDE**2, alpha=0)
    assert grids == [(SIDE, SIDE)] * 4
    for version in quota.VERSIONS:
        same = torch.stack(quota.resize_frames(features, grids, version))
        torch.testing.assert_close(same, features)


def test_version_1_may_blow_a_frame_up_and_version_2_hands_its_rest_on():
    scores, budget = [0.99, 0.1, 0.1, 0.1], 4 * SIDE**2
    first = quota.grid_shapes(scores, budget, SIDE**2, version="v1")
    second = quota.grid_shapes(scores, budget, SIDE**2, version="v2")
    assert first[0] > (SIDE, SIDE) == second[0]
    assert second[1] > first[1]


def test_what_is_over_grows_while_it_is_handed_out_as_in_the_official_code():
    # over: 0.2; frame 1 gets 0.2 * 0.35 / 0.8 and is cut at 0.4, so 0.2375 is over for frame 2
    assert quota.cap_weights([0.6, 0.35, 0.05], 0.4) == pytest.approx(
        [0.4, 0.4, 0.05 + 0.2375 / 16]
    )


def test_rows_run_from_left_to_right_and_from_top_to_bottom():
    row, column = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
    features = torch.stack([row, column], -1).reshape(1, 16, 2)
    for version in quota.VERSIONS:
        [small] = quota.resize_frames(features, [(2, 2)], version)
        assert small.tolist() == [[0.5, 0.5], [0.5, 2.5], [2.5, 0.5], [2.5, 2.5]]


def test_a_dropped_frame_has_no_tokens_and_the_last_one_is_never_dropped():
    assert quota.tokens_per_frame([0.5, 0.3, 0.2], 4) == [2, 1, 0]
    assert quota.tokens_per_frame([0.2, 0.5, 0.3], 1) == [0, 1, 0]
    frames = quota.resize_frames(torch.randn(2, 16, 3), [(0, 0), (2, 1)])
    assert [len(frame) for frame in frames] == [0, 2]
