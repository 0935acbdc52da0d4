"""Models at their true size: every checkpoint's shape, and what stands for it in the bench."""

from __future__ import annotations

import re

import pytest
import torch
from small_shapes import NEXT, ONEVISION, SMOLVLM, small
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from explorer.pico.data import scenes
from explorer.tools.bench.real import build, measure
from explorer.tools.bench.real.memory import estimate
from explorer.tools.bench.real.processors import PROCESSORS
from explorer.vlm.catalog import DEFAULT, read_entries
from explorer.vlm.families import family_of
from explorer.vlm.loader import at_resolution, default_loader


def test_every_model_has_a_shape_that_its_classes_take_and_that_weighs_what_it_weighs():
    entries = {key: entry for key, entry in read_entries().items() if key != DEFAULT}
    assert set(build.shapes()) == set(entries)
    for key, entry in entries.items():
        size, unit = re.fullmatch(r"([\d.]+) ?([MG])B", entry.memory).groups()
        listed = float(size) * {"M": 1e6, "G": 1e9}[unit]
        shape = build.shapes()[key]
        assert family_of(shape["model_type"]).__name__.endswith(entry.family), key
        config = build.outline(key).model.config
        assert type(config) is CONFIG_MAPPING[shape["model_type"]], key
        for part, wanted in (("vision_config", "vision"), ("text_config", "text")):
            read = getattr(config, part).to_dict()
            assert shape[wanted].items() <= read.items(), key
        assert 2 * build.parameters(key) == pytest.approx(listed, rel=0.03), key
        told = estimate(key, listed, torch.bfloat16)
        assert 1.0 < told.peak / listed < 3 or told.peak < 8e9, key


@pytest.fixture(scope="module")
def vlm():
    return small(SMOLVLM)


def test_words_fill_the_vocabulary_so_that_every_token_can_be_read(vlm):
    words = vlm.processor.tokenizer
    assert len(words) == vlm.model.config.text_config.vocab_size == 300
    assert all(words.convert_ids_to_tokens(list(range(300))))


def test_weights_are_drawn_in_place_in_the_precision_that_is_asked_for(vlm):
    again = vlm.model.get_decoder().layers[0].mlp.up_proj.weight.clone()
    build.draw_weights(vlm.model)
    assert torch.equal(again, vlm.model.get_decoder().layers[0].mlp.up_proj.weight)
    assert all(weight.isfinite().all() for weight in vlm.model.parameters())
    size = vlm.model.get_decoder().layers[0].mlp.up_proj.weight.std() * 64**0.5
    assert float(size) == pytest.approx(1, rel=0.05)


def test_both_answers_are_the_same_and_every_part_is_compared(vlm, capsys):
    image = scenes.make(1).image.resize((90, 60))
    plain, ours = measure.by_transformers(vlm, image), measure.by_us(vlm, image)
    in_order = [measure.TOWER, measure.FIRST, measure.ANSWER]
    for watch in (plain, ours):
        wall = [watch.marks[name][0] for name in in_order]
        assert wall == sorted(wall) and wall[0] > 0
    assert plain.text == ours.text != ""
    found = measure.compare(vlm, (90, 60))
    assert set(measure.GOALS) < set(found) and all(value > 0 for value in found.values())
    told = capsys.readouterr().out
    for name in (*in_order, measure.ANALYSIS, measure.ONE, "peak memory"):
        assert re.search(rf"^  {name} .*\d", told, re.M), name


def test_both_answers_are_the_same_at_a_coarser_resolution():
    image = scenes.make(1).image.resize((130, 60))
    for key in (NEXT, ONEVISION):
        vlm, texts = small(key), []
        for resolution in ("whole", "2x2"):
            seen = at_resolution(vlm, default_loader().catalog.entry(f"{key}@{resolution}"))
            texts += [measure.by_transformers(seen, image).text, measure.by_us(seen, image).text]
        assert texts[0] == texts[1] and texts[2] == texts[3], (key, texts)


def test_shapes_of_every_family_have_a_processor():
    assert {shape["model_type"] for shape in build.shapes().values()} <= set(PROCESSORS)
