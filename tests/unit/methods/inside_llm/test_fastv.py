"""What FastV does."""

from __future__ import annotations

import torch
from random_signals import WIDTH, grid

from explorer.methods.inside_llm.fastv import FastV
from explorer.methods.signals import Signals, Size, Stage


def test_fastv_solves_for_the_tokens_left_after_two_layers():
    size = Size(576, 32, 24)
    for mean, left in [(192, 166), (128, 98), (64, 30), (171, 144), (306, 288)]:
        assert FastV().schedule(size, mean) == [Stage(2, left)]
    assert FastV().floor(size) == 37
    assert FastV().positions == "keep"


def test_fastv_ranks_by_the_mean_over_heads():
    attention = torch.tensor([[0.6, 0.0, 0.0, 0.4], [0.0, 0.5, 0.1, 0.4]])
    signals = Signals(grid(1, 4), torch.zeros(4, WIDTH), last_attention=attention)
    assert torch.allclose(FastV().score(signals), torch.tensor([0.3, 0.25, 0.05, 0.4]))
    assert FastV().keep(signals, Stage(2, 2)).index.tolist() == [0, 3]
