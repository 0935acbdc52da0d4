"""What the baselines do: random draws, an even grid, means of neighbours."""

from __future__ import annotations

import pytest
import torch
from random_signals import LAYOUTS, WIDTH, grid, tower_signals
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.cases.method_maps import plan_of
from explorer.inference.prefill import prefill
from explorer.methods.baselines.pool import Pool
from explorer.methods.baselines.random import Random
from explorer.methods.baselines.regions import regions
from explorer.methods.baselines.uniform import Uniform
from explorer.methods.method import Method
from explorer.methods.signals import Signals, Size, Stage


def test_random_draws_differ_with_the_seed():
    signals = tower_signals("square")
    draws = {
        tuple(Random(seed=seed).keep(signals, Stage(0, 6)).index.tolist())
        for seed in Random.options()["seed"].values
    }
    assert len(draws) == 10


@pytest.mark.parametrize(
    ("rows", "columns", "count", "expected"),
    [
        (2, 4, 2, [[0, 0, 1, 1], [0, 0, 1, 1]]),
        (4, 4, 4, [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]),
        (4, 2, 3, [[0, 0], [0, 0], [1, 2], [1, 2]]),
        (3, 3, 1, [[0] * 3] * 3),
        (1, 5, 5, [[0, 1, 2, 3, 4]]),
    ],
)
def test_regions_are_bands_of_rows_cut_into_cells(rows, columns, count, expected):
    assert regions(grid(rows, columns), count).view(rows, columns).tolist() == expected


LONG_AND_THIN = {"2 x 20": grid(2, 20), "20 x 2": grid(20, 2), "1 x 9": grid(1, 9)}


@pytest.mark.parametrize("name", [*LAYOUTS, *LONG_AND_THIN])
def test_regions_are_as_many_as_asked_for_and_none_is_empty(name):
    place = LONG_AND_THIN[name] if name in LONG_AND_THIN else LAYOUTS[name][0]
    for count in range(1, len(place) + 1):
        region = regions(place, count)
        sizes = region[region >= 0].bincount(minlength=count)
        assert len(sizes) == count
        assert sizes.min() >= 1


def test_regions_are_of_like_size():
    assert set(regions(grid(14, 14), 49).bincount().tolist()) == {4}
    sizes = regions(grid(14, 14), 60).bincount()
    assert sizes.max() <= 4 * sizes.min()  # either side within a factor of two


def test_regions_are_shared_between_views_by_their_size():
    region = regions(torch.cat([grid(2, 2), grid(4, 4, 1)]), 5)
    assert region[:4].tolist() == [0] * 4
    assert region[4:].unique().tolist() == [1, 2, 3, 4]


def test_uniform_keeps_the_middle_of_each_region():
    signals = Signals(grid(3, 9), torch.zeros(27, WIDTH))
    assert Uniform().keep(signals, Stage(0, 3)).index.tolist() == [10, 13, 16]


def test_pool_averages_neighbours():
    features = torch.arange(16.0)[:, None].expand(16, WIDTH)
    kept = Pool().keep(Signals(grid(4, 4), features), Stage(0, 0, 4))
    assert kept.merged[:, 0].tolist() == [2.5, 4.5, 10.5, 12.5]
    assert kept.group[:4].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # of a 4 x 4 picture behind 5 tokens: rows of 2 x 2 means, then the 7 tokens of the text
        (Pool(positions="keep"), [0, 1, 2, 3, 4, 8, 10, 16, 18, *range(21, 28)]),
        (Pool(), list(range(16))),
        (Uniform(positions="keep"), [0, 1, 2, 3, 4, 5, 7, 13, 15, *range(21, 28)]),
        (Uniform(), list(range(16))),
    ],
    ids=lambda each: each.spec if isinstance(each, Method) else "",
)
def test_positions_are_counted_anew_or_kept_and_a_mean_stands_in_the_middle(method, expected):
    decoder, seen = taken_apart(tiny_llama()), []
    decoder.body.rotary_emb.register_forward_pre_hook(
        lambda _, arguments: seen.append(arguments[1][0].tolist())
    )
    prefill(decoder, random_prompt(5, 16, 7), plan_of(method, Size(16, 6, 4), 4))
    assert seen[-1] == expected
