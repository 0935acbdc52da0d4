"""LLaVA-OneVision: SigLIP without [CLS], crops that end before their last pixels, pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from family_contract import (
    QUESTION,
    Promises,
    is_real,
    noise,
    overlaps,
    plain_picture,
    template,
    text_config,
    tokenizer,
    vision_config,
    wrapped,
)
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
)
from video_family_contract import FilmPromises, look

from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest


def tiny(side: int, canvases: int, limit: str):
    """A random OneVision; side: pixels of a crop, canvases: up to so many crops down and across."""
    words = tokenizer({"image_token": "<image>", "video_token": "<video>"})
    counts = range(1, canvases + 1)
    sizes = [[side * down, side * across] for down in counts for across in counts]
    size = {"height": side, "width": side}
    looks = LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=sizes)
    processor = LlavaOnevisionProcessor(
        looks,
        words,
        LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=(side // 14) ** 2,
        vision_feature_select_strategy="full",
        vision_aspect_ratio=limit,
        chat_template=template("<image>", video="<video>"),
    )
    config = LlavaOnevisionConfig(
        vision_config=vision_config(
            side, 14, model_type="siglip_vision_model", vision_use_head=False
        ),
        text_config=text_config(len(words), model_type="qwen2"),
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_grid_pinpoints=sizes,
        vision_aspect_ratio=limit,
    )
    return wrapped(LlavaOnevisionForConditionalGeneration, config, processor)


class TestPooled(FilmPromises, Promises):
    """The picture of the tests fills a canvas that is interpolated to fewer tokens."""

    exact = (1152, 768)
    split = False

    @staticmethod
    def build(real):
        return tiny(384, 6, "anyres_max_9") if real else tiny(48, 3, "anyres_max_2")

    def test_the_picture_of_the_tests_is_pooled(self, vlm):
        grid = open_case(CaseRequest.make(vlm, noise(), QUESTION)).vision.grid
        assert ((grid.patches >= 0).sum(1) > 1).any()

    @torch.no_grad()
    def test_a_pooled_token_is_made_of_the_patches_that_its_grid_names(self, vlm):
        """Interpolation of an indicator of each patch, through the model's own packing."""
        picture = noise()
        case = open_case(CaseRequest.make(vlm, picture, QUESTION))
        pixels = vlm.family.preprocess(vlm, picture)
        views, n = case.vision.output.hidden.shape[:2]
        each = torch.eye(views * n).view(views, n, -1)
        packed, _ = vlm.model.model.pack_image_features(
            [each],
            pixels["image_sizes"],
            image_newline=torch.zeros(views * n),
            vision_aspect_ratio=vlm.model.config.vision_aspect_ratio,
        )
        for token, patches in enumerate(case.vision.grid.patches):
            read = (packed[0][token] > 1e-6).nonzero()[:, 0].tolist()
            assert sorted(patches[patches >= 0].tolist()) == read

    # a newline of the model's own stands behind the last frame, and QuoTA leaves it out
    test_frames_that_quota_leaves_as_they_are_answer_as_before = None

    @torch.no_grad()
    def test_a_spot_in_a_frame_changes_the_pooled_tokens_that_it_lies_in(self, real):
        plain = [plain_picture(768, 384) for _ in range(3)]
        spot = [frame.copy() for frame in plain]
        spot[1][98:112, 224:252] = (250, 20, 200)  # one patch: row 7, column 8

        (laid, before), (_, after) = look(real, plain), look(real, spot)
        assert laid.count == len(before) == 3 * 14 * 14 + 1
        changed = is_real((after - before).norm(dim=1).numpy())
        under = (laid.patches == 27 * 27 + 7 * 27 + 8).any(1)
        assert under.any() and changed[under].all()
        near = overlaps(laid.boxes, (224, 98, 252, 112), np.full((laid.count, 2), 6.0))
        assert not (changed & ~(near & (laid.place[:, 0] == 1))).any()
        spot = [frame.copy() for frame in plain]
        spot[1][378:] = (250, 20, 200)  # what no patch covers
        assert torch.equal(look(real, spot)[1], before)
        assert laid.boxes[:-1, 3].max() == pytest.approx(378)


class TestUnpooled(Promises):
    exact = (768, 768)
    without = frozenset({"mustdrop?tower=on"})

    @staticmethod
    def build(real):
        return tiny(384, 2, "anyres_max_9") if real else tiny(48, 2, "anyres_max_9")


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((336, 336), 1485),
        ((900, 300), 2943),
        ((400, 900), 3726),
        ((700, 840), 4304),
        ((1920, 1080), 7269),
        ((1600, 1230), 7332),
    ],
)
def test_real_pictures_have_the_number_of_tokens_that_the_model_pools_to(size, count):
    vlm = TestPooled.build(True)
    assert vlm.family.grid(vlm, *size).count == count
