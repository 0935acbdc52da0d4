"""SmolVLM, SmolVLM2 and Idefics3 (SmolVLM-256M-Instruct): tiles, the whole picture, shuffle."""

from __future__ import annotations

import pytest
import transformers
from family_contract import (
    QUESTION,
    Promises,
    template,
    text_config,
    tokenizer,
    vision_config,
    wrapped,
)
from video_family_contract import FilmPromises, clip

from explorer.analyses.video.clip_case import VideoRequest, open_video_case
from explorer.errors import ModelUnavailable

MARKS = ["<image>", "<fake_token_around_image>", "<global-img>", "<video>", "<end_of_utterance>"]
MARKS += [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]

TIMES = ("five", "0:00:18", "00:00:", "00:04:", "00:08:", "00:12:", "00:16:")


def tiny(name: str, side: int, patch: int, scale: int, tiles: int):
    """A random model; side: pixels of a tile, tiles: of them along the longer edge."""
    words, one = tokenizer(MARKS, TIMES), {"longest_edge": side}
    looks = getattr(transformers, f"{name}ImageProcessor")(
        size={"longest_edge": tiles * side}, max_image_size=one
    )
    parts = {"image_processor": looks, "tokenizer": words}
    if name == "SmolVLM":
        parts["video_processor"] = transformers.SmolVLMVideoProcessor(size=one, max_image_size=one)
    processor = getattr(transformers, f"{name}Processor")(
        **parts,
        image_seq_len=(side // patch // scale) ** 2,
        chat_template=template("<image>", video="<video>"),
    )
    config = getattr(transformers, f"{name}Config")(
        vision_config=vision_config(side, patch),
        text_config=text_config(len(words), model_type="llama"),
        image_token_id=processor.image_token_id,
        scale_factor=scale,
    )
    return wrapped(getattr(transformers, f"{name}ForConditionalGeneration"), config, processor)


class TestSmolVlm2(FilmPromises, Promises):
    says = TIMES
    exact = (2048, 1024)
    reach = 10  # resized three times

    @staticmethod
    def build(real):
        return tiny("SmolVLM", 512, 16, 4, 4) if real else tiny("SmolVLM", 64, 16, 2, 2)


class TestSmolVlm1(Promises):
    """SmolVLM-256M-Instruct is an Idefics3."""

    exact = (1024, 2048)
    reach = 10

    @staticmethod
    def build(real):
        return tiny("Idefics3", 512, 16, 4, 4) if real else tiny("Idefics3", 64, 16, 2, 3)


class TestSmolVlm2Larger(FilmPromises, Promises):
    """Tiles of 384 pixels with patches of 14: 6 pixels of each are never seen."""

    exact = (1536, 1536)
    whole = (1, 1)
    reach = 10

    @staticmethod
    def build(real):
        return tiny("SmolVLM", 384, 14, 3, 4) if real else tiny("SmolVLM", 48, 14, 3, 3)


def test_without_splitting_there_is_one_view():
    vlm = tiny("SmolVLM", 64, 16, 2, 2)
    vlm.processor.image_processor.do_image_splitting = False
    grid = vlm.family.grid(vlm, 90, 60)
    assert grid.count == 4 and [view.name for view in grid.views] == ["crops"]
    chat = vlm.family.build_prompt(vlm, "what is this", grid)
    assert "<global-img>" in vlm.processor.tokenizer.decode(chat.input_ids[0])


@pytest.mark.parametrize("size", [(336, 336), (900, 300), (641, 479), (24, 20), (500, 30)])
def test_real_pictures_have_as_many_tokens_as_the_processor_says(size):
    vlm = TestSmolVlm2.build(True)
    tiles = vlm.processor.image_processor.get_number_of_image_patches(*size[::-1])[0]
    assert vlm.family.grid(vlm, *size).count == 64 * tiles


def test_a_model_that_reads_pictures_only_says_so():
    vlm = TestSmolVlm1.build(False)
    with pytest.raises(ModelUnavailable, match=r"tiny reads pictures only.*another model"):
        open_video_case(VideoRequest.make(vlm, clip(), QUESTION))
