"""InternVL (the "-hf" checkpoints): square tiles, then the whole picture, pixel shuffle in each.

A picture is stretched to the grid of at most twelve tiles that is nearest to its shape; if that is
more than one tile, the whole picture is looked at as one more. Each becomes side x side visual
tokens of 2 x 2 patches. The number of tiles follows the shape, hardly the size. A frame of a video
is one view behind its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor
from transformers import BaseImageProcessor
from transformers.models.got_ocr2.image_processing_got_ocr2 import get_optimal_tiled_canvas

from explorer.errors import ModelUnavailable
from explorer.media.grid import Grid, Timeline
from explorer.media.layouts import frames as frame_grid
from explorer.media.layouts import tiled
from explorer.vlm.components import ChatPrompt, Pixels, Tower, Vision, Vlm, decoder, hooked_modules
from explorer.vlm.prompt import build_chat


def preprocess(vlm: Vlm, image: Image.Image) -> Pixels:
    """Let the processor cut into tiles, resize and normalise: [V, 3, side, side]."""
    # InternVL's processor cuts, whatever the checkpoint says of the image processor it shares.
    inputs = vlm.processor.image_processor([image], crop_to_patches=True, return_tensors="pt")
    return {"pixel_values": inputs["pixel_values"].to(vlm.device, vlm.model.dtype)}


def coarser(looks: BaseImageProcessor, resolution: str) -> BaseImageProcessor:
    """Give a copy of an image processor that doesn't split pictures, or into 4 tiles at most."""
    looks = copy(looks)
    looks.max_patches = min(1 if resolution == "whole" else 4, looks.max_patches)
    return looks


def grid(vlm: Vlm, width: int, height: int) -> Grid:
    """Place the visual tokens on the uploaded picture, which is stretched to whole tiles."""
    processor, config = vlm.processor.image_processor, vlm.model.config
    side, patch = processor.size["height"], config.vision_config.patch_size[0]
    columns, rows = get_optimal_tiled_canvas(
        (height, width), (side, side), processor.min_patches, processor.max_patches
    )
    joined = round(1 / config.downsample_ratio)
    return tiled(
        width,
        height,
        rows,
        columns,
        side // patch // joined,
        thumbnail="last" if rows * columns > 1 else None,
        merge=joined,
    )


def preprocess_frames(
    vlm: Vlm, images: Sequence[Image.Image], time: Timeline
) -> tuple[Pixels, Grid]:
    """Let the processor resize and normalise frames of one size: [F, 3, side, side]."""
    video_processor, config = vlm.processor.video_processor, vlm.model.config
    inputs = video_processor([list(images)], do_sample_frames=False, return_tensors="pt")
    joined = round(1 / config.downsample_ratio)
    side = video_processor.size["height"] // config.vision_config.patch_size[0] // joined
    laid = frame_grid(*images[0].size, len(images), side, side, merge=joined)
    values = inputs["pixel_values_videos"][0].to(vlm.device, vlm.model.dtype)
    return {"pixel_values_videos": values}, replace(laid, time=time)


def build_prompt(vlm: Vlm, question: str, grid: Grid) -> ChatPrompt:
    """Write the prompt: the placeholder becomes one framed run of all visual tokens.

    Of a video: one run for every frame.
    """
    processor, mark = vlm.processor, vlm.processor.image_token
    if grid.time is not None:
        made = {"pixel_values_videos": [torch.empty(len(grid.views))]}
        video = processor.replace_video_token(made, 0)
        of_video = processor.video_token, video, processor.image_token_id, "video"
        return build_chat(processor, question, *of_video)
    picture = processor.start_image_token + mark * grid.count + processor.end_image_token
    return build_chat(processor, question, mark, picture, processor.image_token_id)


def vision_tower(vlm: Vlm) -> Tower:
    """Take the vision side apart."""
    config, inner = vlm.model.config, vlm.model.model
    projector = inner.multi_modal_projector
    if config.vision_feature_layer != -1:
        raise ModelUnavailable("This InternVL does not read the tower's last layer, as others do.")
    layers = inner.vision_tower.encoder.layer

    def look(values: Tensor) -> Vision:
        out = inner.get_image_features(pixel_values=values)
        return Vision(out.last_hidden_state, torch.cat(list(out.pooler_output)))

    def run(pixels: Pixels) -> Vision:
        values = pixels.get("pixel_values_videos")
        if values is not None:
            return look(values)
        # The whole picture comes last in the prompt, but views are numbered from it.
        values = pixels["pixel_values"].roll(1, 0)
        states, features, _ = look(values)
        return Vision(states, features.roll(-(len(features) // len(values)), 0))

    return Tower(
        attention=layers[-1].attention,
        **hooked_modules([layer.attention for layer in layers]),
        has_cls=config.vision_feature_select_strategy == "default",
        run=run,
        project=projector,
        projector_layers=(
            projector.layer_norm,
            projector.linear_1,
            projector.act,
            projector.linear_2,
        ),
        patches_per_token=round(1 / config.downsample_ratio) ** 2,
        layers=tuple(layers),
        feeds=len(layers) - 1,
        norm=inner.vision_tower.layernorm,
        viewer=inner.vision_tower,
    )


__all__ = [
    "build_prompt",
    "coarser",
    "decoder",
    "grid",
    "preprocess",
    "preprocess_frames",
    "vision_tower",
]
