"""FitPrune's fit: what may be deleted, where it stops, and that it reaches its goal."""

from __future__ import annotations

import pytest
import torch
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.analyses.recipe_fitting import (
    attention_mass,
    deleted_per_layer,
    fit,
    flops_left,
    lowest,
    until,
)
from explorer.methods.ops.recipes import RECIPES, Recipes
from explorer.metrics.cost import Shape, shape_of
from explorer.tools.calibration.fitprune_recipe import from_the_usual

SHAPE = Shape(layers=4, width=32, ffn=64, heads=4, kv_heads=4, head_width=8, vocabulary=40)


def test_the_lowest_go_as_long_as_their_sum_stays_at_the_goal():
    values = torch.tensor([4.0, 1.0, 2.0, 3.0])
    assert lowest(values, 6.9).tolist() == [False, True, True, False]
    assert lowest(values, 7.1).tolist() == [False, True, False, False]
    assert lowest(values, 9.5).tolist() == [False] * 4
    assert lowest(values, 11.0).tolist() == [False] * 4
    equals = torch.ones(4)
    assert lowest(equals, 2.0).tolist() == [False, False, True, True]


def test_flops_count_attention_before_and_ffn_after_a_deletion():
    assert flops_left(SHAPE, 10, [0, 0, 0, 0]) == 1
    late, early = flops_left(SHAPE, 10, [0, 0, 0, 5]), flops_left(SHAPE, 10, [5, 0, 0, 0])
    assert early < late < 1  # even in the last layer an FFN has less to do
    assert until(SHAPE, 10, [5, 2, 1, 1], early) == [5, 0, 0, 0]
    assert until(SHAPE, 10, [1, 1, 1, 1], 0.1) == [1, 1, 1, 1]


def test_a_larger_alpha_deletes_more_and_the_fit_reaches_its_goal():
    decoder = taken_apart(tiny_llama(kv_heads=2))
    prompts = [random_prompt(visual=49, seed=seed) for seed in (1, 2, 3)]
    mass = attention_mass(decoder, prompts[0])
    counts = [sum(deleted_per_layer(decoder, prompts[0], mass, a)) for a in (0.1, 0.4, 0.8)]
    assert 0 < counts[0] < counts[1] < counts[2] < 49
    shape = shape_of(decoder.body.config)
    recipes = [fit(decoder, prompts, shape, goal) for goal in (0.8, 0.5)]
    for recipe, goal in zip(recipes, (0.8, 0.5), strict=True):
        assert len(recipe) == 6
        assert abs(flops_left(shape, 49, recipe) - goal) < 0.06
    assert sum(recipes[0]) < sum(recipes[1])


def test_a_recipe_of_one_picture_is_held_against_the_stored_ones(monkeypatch):
    usual = Recipes(20, ((0, 4, 0, 0), (8, 4, 0, 0)))
    monkeypatch.setitem(RECIPES, "a model", usual)
    own = {"tokens": 20, "deleted": [[0, 4, 0, 0], [8, 4, 0, 0]]}
    assert from_the_usual("a model", own) == 0
    own["deleted"][1] = [4, 8, 0, 0]  # entering: 20 16 8 8, not 20 12 8 8
    assert from_the_usual("a model", own) == pytest.approx(4 / 20 / 8)
    assert from_the_usual("another", own) is None
