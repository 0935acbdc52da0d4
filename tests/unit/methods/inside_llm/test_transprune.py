"""What TransPrune does."""

from __future__ import annotations

import math

import pytest
import torch
from random_signals import WIDTH, grid

from explorer.methods.inside_llm import transprune
from explorer.methods.inside_llm.transprune import TransPrune
from explorer.methods.observed import Transition
from explorer.methods.signals import Signals, Size, Stage


def transition(tokens: int, visual: list[int], seed: int) -> Transition:
    generator = torch.Generator().manual_seed(seed)
    ratio = torch.rand(2, tokens, generator=generator) + 0.5
    cosine = torch.rand(2, tokens, generator=generator) * 2 - 1
    return Transition(ratio, cosine, torch.tensor(visual))


def test_transprune_keeps_the_published_shares():
    stages = TransPrune().schedule(Size(576, 32, 24), 236)
    assert stages == [Stage(7, 504), Stage(9, 360), Stage(12, 72)]


@pytest.mark.parametrize(
    ("layers", "expected"), [(32, [7, 9, 12]), (24, [5, 7, 9]), (12, [3, 4, 5])]
)
def test_its_layers_are_scaled_and_never_fall_together(layers, expected):
    size = Size(576, layers, 24)
    stages = TransPrune().schedule(size, TransPrune().floor(size) + 20)
    assert [stage.layer for stage in stages] == expected


def test_a_smaller_mean_shrinks_all_shares_alike():
    early, middle, late = TransPrune().schedule(Size(576, 32, 24), 180)
    assert early.keep / middle.keep == pytest.approx(0.875 / 0.625, rel=0.02)
    assert middle.keep / late.keep == pytest.approx(0.625 / 0.125, rel=0.05)


def test_a_larger_mean_lets_the_last_share_grow_before_the_others():
    assert TransPrune().schedule(Size(576, 32, 24), 300) == [
        Stage(7, 504),
        Stage(9, 360),
        Stage(12, 174),  # (32 * 300 - 7 * 576 - 2 * 504 - 3 * 360) / 20
    ]
    assert TransPrune().schedule(Size(576, 32, 24), 480) == [Stage(7, 504), Stage(9, 449)]


@pytest.mark.parametrize("direction", ["signed", "abs"])
def test_a_change_is_a_longer_vector_in_another_direction(direction):
    seen = transition(5, [1, 2, 3], seed=1)
    for token in range(5):
        expected = 0.0
        for module in (0, 1):
            cosines = [float(c) for c in seen.cosine[module]]
            if direction == "abs":
                cosines = [abs(c) for c in cosines]
            turned = [math.exp(1 - c) for c in cosines]
            expected += float(seen.ratio[module, token]) * turned[token] / sum(turned)
        assert float(transprune.weights(seen, direction)[token]) == pytest.approx(expected)


def test_changes_count_from_the_layer_before_the_first_drop():
    """Layer 0 is too early; 1 is the last that saw all 6 tokens; in 2 and 3 a token is missing."""
    layers = (
        transition(6, [1, 3], 1),
        transition(6, [1, 3], 2),
        transition(5, [1, 2], 3),
        transition(5, [1, 2], 4),
    )
    asked = torch.zeros(2, 3, 2)
    signals = Signals(
        grid(1, 2), torch.zeros(2, WIDTH), transitions=layers, next_tail_attention=asked
    )
    sums = [
        sum(float(transprune.weights(layer)[layer.visual[token]]) for layer in layers[1:])
        for token in (0, 1)
    ]
    shares = torch.tensor(sums) / sum(sums)
    assert torch.allclose(TransPrune().score(signals), shares)
    assert torch.allclose(TransPrune(alpha=1.0).score(signals), 2 * shares)


def test_attention_from_the_tail_is_the_other_half():
    asked = torch.tensor([[[0.2, 0.1, 0.1], [0.4, 0.1, 0.1]], [[0.0, 0.3, 0.1], [0.0, 0.3, 0.3]]])
    still = Transition(torch.zeros(2, 6), torch.ones(2, 6), torch.tensor([1, 2, 3]))
    signals = Signals(
        grid(1, 3), torch.zeros(3, WIDTH), transitions=(still,), next_tail_attention=asked
    )
    expected = torch.tensor([0.6, 0.8, 0.6]) / 2.0  # nothing changed, so this alone speaks
    assert torch.allclose(TransPrune().score(signals), expected)
    assert TransPrune().keep(signals, Stage(1, 2)).index.tolist() == [0, 1]
    assert torch.equal(TransPrune(alpha=1.0).score(signals), torch.zeros(3))
