"""LLaVA-NeXT: the whole picture, a canvas of crops, newlines, grouped key heads (Mistral)."""

from __future__ import annotations

import numpy as np
import pytest
from family_contract import (
    QUESTION,
    Promises,
    noise,
    template,
    text_config,
    tokenizer,
    vision_config,
    wrapped,
)
from transformers import (
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
)

from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.errors import ModelUnavailable


def tiny(side: int, text: dict):
    """A random LLaVA-NeXT; side: pixels of a crop."""
    words = tokenizer({"image_token": "<image>"}, bos_token="<s>")
    pairs = [(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)]
    canvases = [[side * down, side * across] for down, across in pairs]
    looks = LlavaNextImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=canvases,
    )
    processor = LlavaNextProcessor(
        looks,
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template("<image>", begins="<s>"),
    )
    config = LlavaNextConfig(
        vision_config=vision_config(side, 14, model_type="clip_vision_model"),
        text_config=text_config(len(words), **text),
        image_token_index=processor.image_token_id,
        image_grid_pinpoints=canvases,
    )
    return wrapped(LlavaNextForConditionalGeneration, config, processor)


CROPS_CAN_NOT = frozenset({"mustdrop?tower=on"})


class TestMistral(Promises):
    exact = (672, 672)
    cls = True
    without = CROPS_CAN_NOT

    @staticmethod
    def build(real):
        return tiny(336 if real else 42, {"model_type": "mistral", "sliding_window": None})


class TestVicuna(Promises):
    exact = (1008, 336)
    cls = True
    without = CROPS_CAN_NOT

    @staticmethod
    def build(real):
        return tiny(336 if real else 56, {"model_type": "llama", "num_key_value_heads": 4})


def test_newlines_are_visual_tokens_without_a_patch():
    vlm = TestMistral.build(False)
    case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
    signals = case.prompt().signals
    newline = signals.grid_position[:, 0] < 0
    rows = case.vision.grid.views[1].rows
    assert int(newline.sum()) == rows > 1
    assert (signals.features[newline] == vlm.model.model.image_newline).all()
    assert np.isnan(case.vision.grid.boxes[newline.numpy()]).all()


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((336, 336), 1176),
        ((700, 840), 2544),
        ((400, 900), 1926),
        ((900, 300), 2328),
        ((641, 479), 2340),
        ((1000, 600), 1948),
        ((1600, 1230), 2340),
        ((1920, 1080), 1948),
        ((800, 40), 576 + 4 * 72 + 4),
    ],
)
def test_real_pictures_have_the_number_of_tokens_that_the_model_cuts_to(size, count):
    vlm = TestMistral.build(True)
    grid = vlm.family.grid(vlm, *size)
    assert vlm.processor._get_num_multimodal_tokens([size[::-1]]).num_image_tokens == [grid.count]
    assert grid.count == count


def test_a_model_that_forgets_is_refused():
    vlm = tiny(42, {"model_type": "mistral", "sliding_window": 4096})
    with pytest.raises(ModelUnavailable, match="sliding window"):
        vlm.family.decoder(vlm)
