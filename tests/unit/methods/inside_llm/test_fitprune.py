"""FitPrune's recipes: as published where they fit, mixed, stretched or shrunk elsewhere."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest

from explorer.methods.inside_llm.fitprune import FitPrune
from explorer.methods.inside_llm.token_schedule import mean
from explorer.methods.ops.recipes import RECIPES, SHIPPED_RECIPES
from explorer.methods.signals import Size, Stage

LLAVA = Size(576, 32, 24)


@pytest.mark.parametrize(
    ("budget", "recipe"), [(541, 0), (424, 2), (302, 4), (245, 6), (188, 7), (131, 8), (73, 9)]
)
def test_a_published_mean_gives_the_published_recipe(budget, recipe):
    alive, stages = 576, []
    for layer, deleted in enumerate(SHIPPED_RECIPES.deleted[recipe][:-1], 1):
        if deleted:
            alive -= deleted
            stages.append(Stage(layer, alive))
    assert FitPrune().schedule(LLAVA, budget) == stages


def test_other_budgets_lie_between_the_two_neighbouring_recipes():
    def entering(deleted) -> list[int]:
        return [576 - gone for gone in accumulate(deleted, initial=0)][:32]

    at = {stage.layer: stage.keep for stage in FitPrune().schedule(LLAVA, 216)}
    alive, seen = 576, []
    for layer in range(32):
        alive = at.get(layer, alive)
        seen.append(alive)
    more, less = (entering(SHIPPED_RECIPES.deleted[recipe]) for recipe in (6, 7))
    for low, here, high in zip(less, seen, more, strict=True):
        assert low - 1 <= here <= high + 1
    assert sum(seen) / 32 == 216


def test_below_the_smallest_recipe_its_curve_shrinks_behind_the_first_layer():
    floor = FitPrune().floor(LLAVA)
    assert floor == 19  # (576 + 31) / 32
    assert FitPrune().schedule(LLAVA, floor)[0].keep <= 6
    half = FitPrune().schedule(LLAVA, 45)
    assert half[0].layer == 1 and abs(mean(LLAVA, half) - 45) < 1
    shares = SHIPPED_RECIPES.alive(9, 32)
    assert abs(half[0].keep / 576 / shares[1] - (45 * 32 / 576 - 1) / sum(shares[1:])) < 0.01


def test_a_recipe_is_stretched_over_other_depths():
    assert SHIPPED_RECIPES.alive(6, 32)[:3] == [1, 1 - 14 / 576, 1 - 47 / 576]
    assert SHIPPED_RECIPES.alive(6, 16)[:2] == [1, 1 - 47 / 576]
    between = SHIPPED_RECIPES.alive(6, 64)
    assert between[1] == pytest.approx((between[0] + between[2]) / 2)
    assert all(a >= b for a, b in pairwise(between))


def test_the_recipe_fitted_on_pico_is_offered_and_deletes_no_more_than_there_is():
    assert FitPrune.options()["recipe"].values == tuple(RECIPES)
    pico = RECIPES["pico"]
    for deleted in pico.deleted:
        assert len(deleted) == 12 and sum(deleted) < pico.tokens
    size = Size(pico.tokens, 12, 14)
    assert FitPrune(recipe="pico").schedule(size, 64) != FitPrune().schedule(size, 64)
