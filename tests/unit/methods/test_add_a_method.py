"""A new method is a card and a score, named in the catalogue: nothing else has to know of it."""

from __future__ import annotations

import inspect

import pytest
from torch import Tensor

from explorer import analyses
from explorer.cases.request import CaseRequest
from explorer.methods import catalog
from explorer.methods.method import BeforeLLM, Card
from explorer.methods.signals import Signals
from explorer.pico.data import scenes
from explorer.ui.payloads.case import case_payload
from explorer.ui.tabs.methods import card_payload

QUESTION = "what is in the middle ?"


class Loudest(BeforeLLM):
    """The tokens whose features are longest."""

    card = Card(
        key="loudest",
        title="Loudest",
        sentence="Keeps the patches with the longest features.",
        equation="s_j = |x_j|",
        score_means="length of the features",
        traps="Long features are often background.",
        verified="Checked by its property tests only.",
    )

    def score(self, signals: Signals) -> Tensor:
        """Give the length of each token, [N]."""
        return signals.features.float().norm(dim=1)


@pytest.fixture(autouse=True)
def one_line_in_the_catalogue(monkeypatch):
    monkeypatch.setattr(catalog, "METHODS", (*catalog.METHODS, Loudest))


def test_it_is_analysed_drawn_and_answered_like_the_others():
    picture = scenes.make(3).image
    analysis = analyses.analyse(CaseRequest.make("pico", picture, QUESTION))
    found = analysis.methods[-1]
    assert found.spec == "loudest"
    assert case_payload(analysis)["methods"][-1]["key"] == "loudest"
    answer = analyses.answer(CaseRequest.make("pico", picture, QUESTION), "loudest", 40)
    assert answer.stages[-1].kept.tolist() == sorted(found.order[:40].tolist())


def test_it_has_a_card_and_the_options_that_all_of_its_kind_have():
    card = card_payload(Loudest)
    assert card["positions"] == "renumber"
    assert card["options"] == {"positions": ["renumber", "keep"]}
    assert catalog.resolve("loudest?positions=keep") == Loudest(positions="keep")


def test_it_is_short():
    assert len(inspect.getsource(Loudest).splitlines()) < 20
