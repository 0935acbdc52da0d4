"""What ToDRE does, by the example and the equations of its text, spelled out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from random_signals import grid, inner_signals, tower_signals
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.cases.method_maps import plan_of
from explorer.inference.prefill import prefill
from explorer.methods.several_stages import todre
from explorer.methods.several_stages.todre import ToDRE
from explorer.methods.signals import Signals, Size, Stage

X = torch.tensor([[1, 0], [0.9, 0.1], [0, 1], [-0.1, 1], [-1, 0.1], [-0.95, -0.2]])


def test_the_sum_of_similarities_decides_or_the_nearest_kept_one():
    assert todre.order(X, 0).tolist()[:5] == [0, 4, 5, 1, 3]
    assert todre.order(X, 0, "k-center").tolist()[:5] == [0, 4, 2, 5, 1]


def test_max_sum_spelled_out_with_loops():
    x = torch.randn(10, 5, generator=torch.Generator().manual_seed(5))
    unit = (x / x.norm(dim=1, keepdim=True)).double()
    chosen = [3]
    while len(chosen) < 10:
        rest = [v for v in range(10) if v not in chosen]
        chosen.append(min(rest, key=lambda v: sum(float(unit[v] @ unit[c]) for c in chosen)))
    assert todre.order(x, 3).tolist() == chosen


def test_the_pivot_is_what_cls_looks_at_in_the_last_layer():
    signals = tower_signals("square")
    assert todre.pivot(signals) == int(signals.last_cls_attention[0].mean(0).argmax())
    two = tower_signals("two views")
    assert todre.pivot(two) < 12, "the thumbnail's tokens only"


def test_without_cls_the_pivot_is_the_token_nearest_to_the_mean():
    x = torch.tensor([[1.0, 0], [1, 1], [0, 1], [2, 2]])
    assert todre.pivot(Signals(grid(1, 3), x[:3])) == 1
    other = torch.tensor([[-1, -1, -1]])  # a newline is no pivot, wherever it stands
    assert todre.pivot(Signals(torch.cat([other, grid(1, 3)]), x[[1, 0, 3, 2]])) == 2


def test_stage_two_stands_at_seven_eighths():
    assert ToDRE().schedule(Size(576, 32, 24), 64) == [Stage(0, 64), Stage(28, 0, optional=True)]
    assert ToDRE().schedule(Size(196, 12, 14), 64)[1].layer == 10
    assert ToDRE(late=False).schedule(Size(196, 12, 14), 64) == [Stage(0, 64)]
    assert ToDRE().schedule(Size(196, 2, 14), 64) == [Stage(0, 64)], "there is no such layer"


@pytest.mark.parametrize(
    ("to_picture", "to_text", "left"), [(0.05, 0.0, 0), (0.2, 0.0, 6), (0.05, 0.3, 6)]
)
def test_all_leave_when_neither_side_looks_at_the_other(to_picture, to_text, left):
    signals = inner_signals(grid(2, 3), "random", 10)
    heads, tail, n = signals.tail_attention.shape
    signals = replace(
        signals,
        tail_attention=torch.full((heads, tail, n), to_picture / n),
        visual_to_tail=torch.full((n,), to_text),
    )
    assert todre.migration(signals) == pytest.approx((to_picture, to_text))
    assert len(ToDRE().keep(signals, Stage(10, 0, optional=True)).index) == left


def test_equation_eight_spelled_out_with_loops():
    """Heads H, two tokens before the picture, five of it and three after it; nobody is masked."""
    system, picture, text = range(2), range(2, 7), range(7, 10)
    attention = torch.randn(4, 10, 10, generator=torch.Generator().manual_seed(9)).softmax(-1)
    mean = attention.double().mean(0)

    def share(queries: range, keys: range) -> float:
        everything = (*system, *picture, *text)
        paid = sum(float(mean[i, j]) for i in queries for j in keys)
        return paid / sum(float(mean[i, j]) for i in queries for j in everything)

    signals = replace(
        inner_signals(grid(1, 5), "random", 10),
        tail_attention=attention[:, 7:, 2:7],
        visual_to_tail=attention[:, 2:7, 7:].sum(-1).mean(0),
    )
    expected = (share(text, picture), share(picture, text))
    assert todre.migration(signals) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("tau", "late"), [(2.0, 0), (0.0, 6)])
def test_all_leave_a_real_model_behind_its_fifth_layer_or_nobody_does(tau, late):
    """Six layers: the test stands before layer index 5, which is the last."""
    prompt, decoder = random_prompt(5, 16, 7), taken_apart(tiny_llama())
    plan = plan_of(ToDRE(tau=tau), Size(16, 6, 4), 6)
    run = prefill(decoder, prompt, plan)
    assert run.n_visual == [6] * 5 + [late]
    assert [run.cache.get_seq_length(layer) for layer in range(6)] == [18] * 5 + [12 + late]
    assert run.next_position == [18] * 6, "text keeps its positions where the picture is gone"
    alone = prefill(decoder, prompt, plan_of(ToDRE(late=False), Size(16, 6, 4), 6))
    assert torch.equal(run.logits, alone.logits) == (late == 6)
