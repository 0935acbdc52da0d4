"""What PyramidDrop does."""

from __future__ import annotations

import pytest
import torch
from random_signals import WIDTH, grid

from explorer.methods.inside_llm import token_schedule
from explorer.methods.inside_llm.pyramiddrop import PyramidDrop
from explorer.methods.signals import Signals, Size, Stage


def test_pyramiddrop_halves_the_tokens_after_each_quarter_as_published():
    stages = PyramidDrop().schedule(Size(576, 32, 24), 270)
    assert stages == [Stage(8, 288), Stage(16, 144), Stage(24, 72)]


def test_another_mean_is_another_share():
    """1 + .253 + .253^2 + .253^3 is 4/3, so 192 of 576 tokens are the mean."""
    stages = PyramidDrop().schedule(Size(576, 32, 24), 192)
    assert stages == [Stage(8, 145), Stage(16, 36), Stage(24, 9)]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        # 2 layers see 576, then 10 layers each: 2 * 576 + 10 * (a + a/2 + a/4) = 32 * 64
        (64, [Stage(2, 51), Stage(12, 25), Stage(22, 12)]),
        # 3 layers see 576, then 10, 9 and 10: 3 * 576 + 10 a + 9 a/2 + 10 a/4 = 32 * 128
        (128, [Stage(3, 139), Stage(13, 69), Stage(22, 34)]),
    ],
)
def test_below_a_quarter_of_the_tokens_the_first_stage_ends_earlier(budget, expected):
    assert PyramidDrop().schedule(Size(576, 32, 24), budget) == expected


def test_two_layers_see_everything_at_the_least():
    size = Size(576, 32, 24)
    assert PyramidDrop().floor(size) == 37  # (2 * 576 + 30) / 32 = 36.9
    assert token_schedule.mean(size, [Stage(2, 1)]) == pytest.approx(36.9, abs=0.05)
    assert PyramidDrop().positions == "renumber"


def test_pyramiddrop_ranks_by_the_attention_of_the_layer_that_comes():
    coming = torch.tensor([[0.6, 0.0, 0.0, 0.4], [0.0, 0.5, 0.1, 0.4]])
    gone = torch.tensor([[0.0, 0.1, 0.9, 0.0], [0.0, 0.1, 0.9, 0.0]])
    signals = Signals(
        grid(1, 4), torch.zeros(4, WIDTH), next_last_attention=coming, last_attention=gone
    )
    assert torch.allclose(PyramidDrop().score(signals), torch.tensor([0.3, 0.25, 0.05, 0.4]))
    assert PyramidDrop().keep(signals, Stage(8, 2)).index.tolist() == [0, 3]
    assert PyramidDrop(layer="last").keep(signals, Stage(8, 2)).index.tolist() == [1, 2]


def test_the_raw_similarity_ranks_as_the_products_of_queries_and_keys_do():
    generator = torch.Generator().manual_seed(3)
    query = torch.randn(2, 4, generator=generator) * 2
    key = torch.randn(2, 9, 4, generator=generator)  # 9 keys, the last 6 of them visual
    products = torch.einsum("hd,hkd->hk", query, key)
    attention = products.softmax(-1)[:, 3:]
    signals = Signals(grid(1, 6), torch.zeros(6, WIDTH), next_last_attention=attention)
    raw = PyramidDrop(similarity="raw").score(signals)
    by_products = products[:, 3:].sum(0)
    assert raw.argsort().tolist() == by_products.argsort().tolist()
    assert raw.argsort().tolist() != attention.mean(0).argsort().tolist()


def test_attention_of_zero_has_a_finite_logarithm():
    signals = Signals(grid(1, 3), torch.zeros(3, WIDTH), next_last_attention=torch.zeros(2, 3))
    assert PyramidDrop(similarity="raw").score(signals).isfinite().all()
