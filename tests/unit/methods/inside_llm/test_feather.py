"""FEATHER: attention without positions, the grid that the first stage spares, and its counts."""

from __future__ import annotations

import torch
from random_signals import LAYOUTS, inner_signals
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.inside_llm.feather import Feather
from explorer.methods.inside_llm.token_schedule import mean
from explorer.methods.signals import Kept, Signals, Size, Stage


@torch.no_grad()
def test_the_signal_is_attention_of_the_projections_before_the_rotary():
    """Also at a second stage, whose positions have gaps, and with grouped key heads."""
    model, prompt = tiny_llama(kv_heads=2), random_prompt()
    entered: dict[int, torch.Tensor] = {}
    for number in (1, 3):
        model.model.layers[number].register_forward_pre_hook(
            lambda _, inputs, number=number: entered.update({number: inputs[0][0]})
        )
    checked = []

    def choose(signals: Signals, stage: Stage) -> Kept:
        layer = model.model.layers[stage.layer - 1]
        x = layer.input_layernorm(entered[stage.layer - 1])
        attention, n = layer.self_attn, signals.count
        query = attention.q_proj(x[-1]).view(4, 1, 8)
        key = attention.k_proj(x[5 : 5 + n]).view(n, 2, 8).transpose(0, 1).repeat_interleave(2, 0)
        reference = (query @ key.transpose(1, 2))[:, 0].mul(attention.scaling).softmax(-1)
        torch.testing.assert_close(signals.unrotated_attention, reference, rtol=1e-4, atol=1e-6)
        checked.append((signals.last_attention, reference))
        return Kept(torch.arange(0, n, n // stage.keep)[: stage.keep])

    plan = PruningPlan((Stage(2, 8), Stage(4, 3)), choose, Feather.needs)
    prefill(taken_apart(model), prompt, plan)
    assert len(checked) == 2
    with_positions, without = checked[0]
    with_positions = with_positions / with_positions.sum(1, keepdim=True)
    assert (with_positions - without).abs().max() > 1e-2, "positions make no difference here"


def test_the_first_stage_spares_an_even_grid_and_the_second_does_not():
    place = LAYOUTS["square"][0]
    signals = inner_signals(place, "random", 3)
    grid = {0, 3, 15, 18}  # rows and columns 0 and 3 of 5
    best = signals.unrotated_attention.mean(0).argsort(descending=True).tolist()
    for keep in (4, 7, 12):
        kept = set(Feather().keep(signals, Stage(3, keep)).index.tolist())
        assert grid <= kept
        others = [token for token in best if token not in grid]
        assert kept - grid == set(others[: keep - 4])
    fewer = Feather().keep(signals, Stage(3, 2)).index.tolist()
    assert set(fewer) == {token for token in best if token in grid} & set(fewer)
    later = inner_signals(place[:12], "random", 6, original=25)
    best = later.unrotated_attention.mean(0).argsort(descending=True)[:5]
    assert Feather().keep(later, Stage(6, 5)).index.tolist() == best.sort().values.tolist()
    single = Feather(mode="one-stage").keep(signals, Stage(3, 4)).index.tolist()
    assert single == sorted(signals.unrotated_attention.mean(0).topk(4).indices.tolist())


def test_every_view_has_a_grid_of_its_own_and_newlines_are_in_none():
    place = LAYOUTS["two views"][0]  # 3 x 4 each
    kept = Feather().keep(inner_signals(place, "random", 3), Stage(3, 4)).index.tolist()
    assert kept == [0, 3, 12, 15]
    newlines = LAYOUTS["newlines"][0]
    kept = Feather().keep(inner_signals(newlines, "random", 3), Stage(3, 4)).index.tolist()
    assert newlines[kept].tolist() == [[0, 0, 0], [0, 0, 3], [0, 3, 0], [0, 3, 3]]


def test_the_published_shares_come_back_at_their_own_mean():
    """q = .3 on 576 tokens: 172 of the best and a grid of 64, which share 19 at most here."""
    size = Size(576, 32, 24)
    first, second = Feather().counts(size, 0.3)
    assert (first, second) == (218, 19)  # 172.8 + .7 * 64; int(218 * .09)
    budget = (8 * 576 + 8 * first + 16 * second) / 32
    early, late = Feather().schedule(size, int(budget))
    assert (early.layer, late.layer) == (8, 16)
    assert abs(early.keep - first) <= 2 and abs(late.keep - second) <= 2
    assert abs(mean(size, [early, late]) - int(budget)) < 1
    assert Feather().floor(size) == -(-(8 * 576 + 8 * 64 + 16) // 32)
