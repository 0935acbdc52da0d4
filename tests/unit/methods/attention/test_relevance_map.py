"""What relevance_map does with a network that somebody has trained."""

from __future__ import annotations

import pytest
import torch
from random_signals import WIDTH, grid

from explorer.cases.case import open_case
from explorer.cases.method_maps import plan_of
from explorer.cases.request import CaseRequest
from explorer.errors import MethodUnavailable
from explorer.methods.attention.relevance_map import RelevanceMap
from explorer.methods.signals import Signals, Size, Stage
from explorer.pico.data import scenes

ATTENTION = torch.tensor([0.1, 0.3, 0.05, 0.2])


def seen(net) -> Signals:
    return Signals(
        grid(1, 4), torch.zeros(4, WIDTH), question_attention=ATTENTION, relevance_net=net
    )


def test_the_network_has_the_last_word():
    signals = seen(lambda attention: 1 - attention)
    assert torch.allclose(RelevanceMap().score(signals), 1 - ATTENTION)
    assert RelevanceMap().keep(signals, Stage(0, 2)).index.tolist() == [0, 2]


def test_without_a_network_the_command_that_makes_one_is_named():
    with pytest.raises(MethodUnavailable, match=r"python -m explorer relevance-map --model"):
        RelevanceMap().score(seen(None))


def test_positions_may_be_kept():
    size = Size(9, 4, 3)
    assert plan_of(RelevanceMap(), size, 4).renumber
    assert not plan_of(RelevanceMap(positions="keep"), size, 4).renumber


def test_pico_has_a_network():
    case = open_case(CaseRequest.make("pico", scenes.make(5).image, "what is in the middle ?"))
    signals = case.prompt(RelevanceMap.needs).signals
    score = RelevanceMap().score(signals)
    assert score.shape == (196,)
    assert float(score.sum()) == pytest.approx(1, abs=1e-4)
    other = open_case(CaseRequest.make("pico", scenes.make(5).image, "is there an owl ?"))
    assert not torch.allclose(score, RelevanceMap().score(other.prompt(RelevanceMap.needs).signals))
