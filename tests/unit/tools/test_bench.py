"""The model that stands for a 7B one in the measurements has its shape, and is really looked at."""

from __future__ import annotations

import pytest

from explorer.analyses import overview
from explorer.pico.data import scenes
from explorer.tools.bench import large_model


@pytest.fixture(scope="module")
def vlm():
    return large_model.build()


def test_it_has_the_tokens_and_layers_of_a_7b_model(vlm):
    text, vision = vlm.model.config.text_config, vlm.model.config.vision_config
    assert (text.num_hidden_layers, text.hidden_size * 8, text.vocab_size) == (32, 4096, 32064)
    assert (vision.num_hidden_layers, vision.hidden_size * 8) == (24, 1024)


def test_the_analysis_draws_every_method_before_the_llm_but_those_left_out(vlm, monkeypatch):
    drawn = []
    monkeypatch.setattr(overview, "map_of", lambda method, *_: drawn.append(method.spec))
    image = scenes.make(1).image
    assert large_model.analyse(vlm, image).size.tokens == 576
    whole, drawn[:] = set(drawn), []
    large_model.analyse(vlm, image, but=large_model.DEAREST)
    assert whole - set(drawn) == {large_model.DEAREST}
    assert {"clsattn", "divprune", "mmtok"} <= whole and "fastv" not in whole
