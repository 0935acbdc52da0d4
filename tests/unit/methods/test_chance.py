"""The random that a method is compared with differs from it in the choice alone."""

from __future__ import annotations

import pytest
import torch
from random_signals import LAYOUTS, inner_signals

from explorer.cases.case import open_case
from explorer.cases.method_maps import plan_of
from explorer.cases.request import CaseRequest
from explorer.inference.prefill import prefill
from explorer.methods import catalog
from explorer.methods.baselines.random_inside import RandomInside
from explorer.methods.chance import chance_of, draws_of, is_random
from explorer.methods.signals import Size, Stage
from explorer.pico.data import scenes

SIZES = [Size(196, 8, 14), Size(576, 32, 24), Size(64, 5, 8)]
SPECS = [method.spec for method in catalog.choices()]


def totals(spec: str, size: Size, budget: int) -> list[tuple[int, int, bool]]:
    stages = catalog.resolve(spec).schedule(size, budget)
    return [(each.layer, each.total, each.wipe_cache) for each in stages if not each.optional]


@pytest.mark.parametrize("spec", SPECS)
def test_chance_leaves_where_the_method_leaves_and_counts_positions_as_it_does(spec):
    method, chance = catalog.resolve(spec), catalog.resolve(chance_of(spec))
    assert chance.positions == method.positions
    for size in SIZES:
        floor = method.floor(size)
        if {layer for layer, *_ in totals(spec, size, size.tokens - 1)} == {0}:
            assert chance.schedule(size, floor) == [Stage(0, floor)]
            continue
        assert chance.floor(size) == floor
        for budget in {floor, (floor + size.tokens) // 2, size.tokens - 1, size.tokens}:
            assert totals(chance.spec, size, budget) == totals(spec, size, budget)


def test_the_same_rule_has_the_same_chance():
    assert chance_of("clsattn") == chance_of("pool") == chance_of("todre") == "random"
    assert chance_of("clsattn?positions=keep") == chance_of("gprune") == "random?positions=keep"
    assert chance_of("fastv") == chance_of("dart?order=norm") == "random_inside"
    assert chance_of("pyramiddrop") == ("random_inside?schedule_of=pyramiddrop&positions=renumber")
    assert chance_of("random?positions=keep&seed=3") == "random?positions=keep"


def test_a_chance_has_several_draws_that_resolve_to_themselves():
    for spec in SPECS:
        draws = draws_of(chance_of(spec))
        assert len(set(draws)) == 5 and draws[0] == chance_of(spec)
        assert [catalog.resolve(draw).spec for draw in draws] == list(draws)
        assert all(map(is_random, draws))
        assert is_random(spec) == (spec == "random")


def test_random_inside_draws_a_new_lot_at_every_stage_and_seed():
    signals = inner_signals(LAYOUTS["square"][0], "random", 2)
    stage = Stage(2, signals.count // 2)
    kept = [RandomInside(seed=s).keep(signals, stage).index.tolist() for s in range(5)]
    assert len({tuple(each) for each in kept}) == 5
    assert kept[0] == RandomInside().keep(signals, stage).index.tolist()
    score = RandomInside().score(signals)
    assert score.dtype == torch.float32 and len(score.unique()) == signals.count


@pytest.mark.parametrize("spec", ["random_inside", *map(chance_of, SPECS[-6:])])
def test_pico_runs_every_random_inside_with_the_layers_of_its_method(spec):
    case = open_case(CaseRequest.make("pico", scenes.make(7).image, "what is in the middle ?"))
    method = catalog.resolve(spec)
    budget = max(64, method.floor(case.size))
    planned = method.schedule(case.size, budget)
    run = prefill(case.decoder, case.prompt(), plan_of(method, case.size, budget))
    assert [outcome.stage for outcome in run.outcomes] == planned
    for outcome, stage in zip(run.outcomes, planned, strict=True):
        if not stage.wipe_cache:
            assert int((outcome.alive_index >= 0).sum()) == stage.keep
