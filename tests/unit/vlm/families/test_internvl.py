"""InternVL: tiles, the whole picture, pixel shuffle, a [CLS]; Qwen2 or Qwen3 as language model."""

from __future__ import annotations

import pytest
import torch
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
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
)
from video_family_contract import FilmPromises

from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest

MARKS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}


def tiny(side: int, tiles: int, text: dict, vision: dict | None = None):
    """A random InternVL; side: pixels of a tile, tiles: at most so many."""
    words, size = tokenizer(MARKS), {"height": side, "width": side}
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=size, max_patches=tiles),
        words,
        InternVLVideoProcessor(size=size),
        image_seq_length=(side // 28) ** 2,
        chat_template=template("<IMG_CONTEXT>", video="<video>"),
    )
    config = InternVLConfig(
        vision_config=vision_config([side, side], [14, 14], **(vision or {})),
        text_config=text_config(len(words), **text),
        image_token_id=processor.image_token_id,
        image_seq_length=processor.image_seq_length,
        tie_word_embeddings=False,
    )
    return wrapped(InternVLForConditionalGeneration, config, processor)


class TestWithQwen2(FilmPromises, Promises):
    exact = (896, 448)
    cls = True

    @staticmethod
    def build(real):
        text = {"model_type": "qwen2"}
        return tiny(448, 12, text) if real else tiny(56, 4, text)

    def test_views_are_numbered_from_the_whole_picture_although_it_comes_last(self, vlm):
        case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
        signals = case.prompt(frozenset({"areas"})).signals
        whole = signals.grid_position[:, 0] == 0
        assert whole.nonzero()[:, 0].tolist() == list(range(len(whole) - 4, len(whole)))
        assert case.vision.grid.views[0].name == "whole picture"
        assert torch.allclose(signals.areas, torch.tensor([[0.0, 0, 1, 1]]).expand(2, 4))


class TestWithQwen3(FilmPromises, Promises):
    """With norms on queries and keys, as InternVL3.5."""

    exact = (448, 1344)
    cls = True

    @staticmethod
    def build(real):
        text, vision = {"model_type": "qwen3", "head_dim": 8}, {"use_qk_norm": True}
        return tiny(448, 12, text, vision) if real else tiny(56, 6, text, vision)


@pytest.mark.parametrize(
    ("size", "count"), [((336, 336), 256), ((900, 300), 1024), ((400, 900), 2816), ((24, 20), 3328)]
)
def test_real_pictures_have_256_tokens_a_tile(size, count):
    assert TestWithQwen2.build(True).family.grid(TestWithQwen2.build(True), *size).count == count
