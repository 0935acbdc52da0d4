"""What CoreMatching does, in layers with a handful of neurons."""

from __future__ import annotations

import pytest
import torch
from parity.learned import elbow
from random_signals import WIDTH, grid

from explorer.errors import BadBudget
from explorer.methods.inside_llm.core_neurons import core
from explorer.methods.inside_llm.corematching import CoreMatching
from explorer.methods.observed import Neurons
from explorer.methods.signals import Signals, Size, Stage

LLAVA = Size(576, 32, 24)
# five tokens, six neurons: two words, two patches, and the word after the question, which is 4
VALUES = torch.tensor(
    [
        [0.1, -1, 2.0, -1, -1, -1],
        [-1, 3.0, -1, -1, -1, -1],
        [0.1, 0.2, 0.3, -5, -1, 0.0],
        [-9, 0.1, -9, 0.1, 0.1, -1],
        [5.0, 0.1, -0.1, 0.3, 0.0, 7.0],
    ]
)


def inside() -> Signals:
    neurons = Neurons(VALUES, visual=torch.tensor([2, 3]), query_row=4)
    return Signals(grid(1, 2), torch.zeros(2, WIDTH), neurons=neurons)


def test_a_score_counts_the_neurons_shared_with_the_word_after_the_question():
    # active there: 0 1 3 5; in the first patch 0 1 2 (0 is not active), in the second 1 3 4
    assert CoreMatching().score(inside()).tolist() == [2, 2]
    strong = inside().neurons.values.clone()
    strong[2, 3] = 1e-6  # how strong does not matter
    neurons = Neurons(strong, torch.tensor([2, 3]), 4)
    signals = Signals(grid(1, 2), torch.zeros(2, WIDTH), neurons=neurons)
    assert CoreMatching().score(signals).tolist() == [3, 2]


def test_core_neurons_are_strong_in_most_tokens():
    """With rho 0.6 the five tokens name neuron 2, none (0.6 of one), 2, 1, and 5 and 0."""
    neurons = inside().neurons
    assert core(neurons, 0.6, 0.2).nonzero()[:, 0].tolist() == [2]  # the only one named twice
    assert core(neurons, 0.6, 0.4).nonzero()[:, 0].tolist() == [0, 2]  # 0, 1 and 5 are named once
    assert core(neurons, 0.6, 0.8).nonzero()[:, 0].tolist() == [0, 1, 2, 5]
    scores = CoreMatching(metric="core_neurons", rho=0.6, beta=0.4).score(inside())
    assert scores.tolist() == [2, 0]


def test_the_elbow_is_the_point_farthest_from_the_chord():
    assert elbow(torch.tensor([1.0, 10, 1, 9, 8, 2])) == 3  # 10 9 8 | 2 1 1
    assert elbow(torch.tensor([10.0, 9, 9, 9, 9, 0])) == 1  # above the chord counts as well
    assert elbow(torch.full((7,), 4.0)) == 0
    assert elbow(torch.tensor([3.0])) == 0


def test_the_code_wipes_layers_5_to_18_of_32():
    code = CoreMatching(mode="zero-kv")
    stages = code.schedule(LLAVA, 400)
    assert [stage.layer - 1 for stage in stages] == list(range(5, 19))
    assert all(stage.wipe_cache for stage in stages)
    [kept] = {stage.keep for stage in stages}
    assert (18 * 576 + 14 * kept) / 32 == pytest.approx(400, abs=0.5)
    assert code.floor(LLAVA) == 325  # 18 layers keep all: (18 * 576 + 14) / 32 = 324.4
    pico = code.schedule(Size(196, 12, 14), 150)
    assert [stage.layer - 1 for stage in pico] == list(range(2, 8))


def test_dropping_starts_behind_the_first_of_these_layers():
    [stage] = CoreMatching().schedule(LLAVA, 192)
    assert (stage.layer, stage.wipe_cache) == (6, False)
    assert (6 * 576 + 26 * stage.keep) / 32 == pytest.approx(192, abs=0.5)
    assert CoreMatching().floor(LLAVA) == 109
    with pytest.raises(BadBudget, match="smaller than 109"):
        CoreMatching().schedule(LLAVA, 108)


def test_ties_are_broken_by_the_lower_index():
    values = torch.tensor([[1.0, 1], [1, -1], [1, 1], [1, 1], [1, 1]])
    neurons = Neurons(values, visual=torch.tensor([0, 1, 2, 3]), query_row=4)
    signals = Signals(grid(1, 4), torch.zeros(4, WIDTH), neurons=neurons)
    assert CoreMatching().score(signals).tolist() == [2, 1, 2, 2]
    assert CoreMatching().keep(signals, Stage(6, 2)).index.tolist() == [0, 2]


def test_fewer_neurons_in_decoding_are_asked_for_apart():
    assert CoreMatching().decoding_neuron_mask() is None
    choose = CoreMatching(neurons="core", rho=0.6, beta=0.2).decoding_neuron_mask()
    assert choose(inside().neurons).nonzero()[:, 0].tolist() == [2]
