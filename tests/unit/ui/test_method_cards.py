"""The tab "Methods": what a card says follows from the method's own constants and code."""

from __future__ import annotations

import json

import numpy as np
import pytest

from explorer import analyses
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.errors import UnknownMethod
from explorer.methods import catalog
from explorer.methods.signals import Signals
from explorer.pico.data import scenes
from explorer.tools import docs
from explorer.ui.payloads.method import method_words
from explorer.ui.tabs.methods import PLACES, card_payload, drops, looks

QUESTION = "what is in the middle ?"


@pytest.mark.parametrize("method", catalog.METHODS, ids=lambda m: m.card.key)
def test_a_card_is_complete_and_can_be_sent(method):
    made = card_payload(method)
    assert made["key"] == method.card.key
    for name in ("sentence", "equation", "verified", "traps", "badges"):
        assert made[name]
    assert all(0 <= share <= 1 for share in made["drops"])
    for name, values in made["options"].items():
        assert made["meanings"][name]
        for value in values:  # as the page writes them
            catalog.resolve(f"{made['key']}?{name}={value}")
    for variant in made["variants"]:
        assert variant["meaning"]
        for name, value in variant["options"].items():
            assert value in made["options"][name]
    json.dumps(made)


def test_a_badge_says_that_tokens_leave_in_the_tower():
    for spec, told in {"flowcut": True, "flowcut?rerun=False": False, "mustdrop": False}.items():
        assert ("in the tower" in method_words(spec)["badges"]) is told
    assert "in the tower" in method_words("mustdrop?tower=on")["badges"][:4], "what Explore shows"


def test_the_grid_that_feather_spares_is_told_where_there_is_one():
    strides = {
        spec: method_words(spec).get("stride")
        for spec in ("feather", "feather?stride=2", "feather:norope", "fastv")
    }
    assert list(strides.values()) == [3, 2, None, None]


def test_maps_of_attention_in_the_tower_warn_of_its_sinks():
    warned = {m.card.key for m in catalog.METHODS if "sinks" in card_payload(m)["traps"]}
    assert {"clsattn", "hired", "visionzip", "fopru", "visiondrop"} <= warned
    assert not {"random", "divprune", "fastv"} & warned
    words = method_words("clsattn")["traps"]
    assert catalog.find("clsattn").card.traps in words and "arXiv 2309.16588" in words


def test_fastervlm_is_named_where_its_number_shows_another_paper():
    made = card_payload(catalog.find("clsattn"))
    assert made["arxiv"] == "2412.01818v1"
    assert made["paper"].startswith("[CLS] Attention is All You Need for Training-Free Visual")
    [row] = [line for line in docs.table().splitlines() if "`clsattn`" in line]
    assert made["paper"] in row and "(https://arxiv.org/abs/2412.01818v1)" in row


def test_figures_that_nobody_else_has_measured_say_so():
    for key in ("pyramiddrop", "corematching"):
        assert "not confirmed by a second source" in catalog.find(key).card.headline
    assert "95.5, 92.9 and 86.9" in catalog.find("sparsevlm").card.headline


def test_every_signal_has_a_place_in_the_drawing():
    told = {name for signals in PLACES.values() for name in signals}
    # where a token lies is no look at the picture
    silent = {
        "grid_position",
        "frame_position",
        "patches",
        "patches_per_token",
        "areas",
        "padding",
        "n_leading_tokens",
        "_known",
    }
    assert told | silent == set(Signals.__dataclass_fields__)


def test_where_methods_look_and_drop():
    assert looks(catalog.find("random")) == []
    assert looks(catalog.find("clsattn")) == ["tower"]
    assert looks(catalog.find("divprune")) == ["projector"]
    assert looks(catalog.find("fastv")) == ["llm"]
    assert "answer" in looks(catalog.find("relevance"))
    assert drops(catalog.resolve("clsattn")) == [0]
    assert drops(catalog.resolve("fastv")) == [2 / 32]
    assert drops(catalog.resolve("visiondrop")) == [0, 0.25, 0.5, 0.75]


def test_a_map_with_changed_settings_is_another_map():
    image, cache = scenes.make(3).image, ResultCache(64_000_000)
    plain, changed = (
        analyses.draw(CaseRequest.make("pico", image, QUESTION), spec, cache=cache)
        for spec in ("random", "random?seed=3")
    )
    assert (plain.spec, changed.spec) == ("random", "random?seed=3")
    assert not np.array_equal(plain.order, changed.order)
    analysis = analyses.analyse(CaseRequest.make("pico", image, QUESTION), cache=cache)
    own = next(found for found in analysis.methods if found.spec == "random")
    assert np.array_equal(plain.order, own.order)
    assert (
        analyses.draw(CaseRequest.make("pico", image, QUESTION), "random", cache=cache) is plain
    ), "remembered"
    with pytest.raises(UnknownMethod):
        analyses.draw(CaseRequest.make("pico", image, QUESTION), "random?seed=77", cache=cache)
