"""SmolVLM, SmolVLM2 and Idefics3: square tiles, then the whole picture, pixel shuffle in each.

A picture is stretched to rows x columns tiles, unless splitting is off; each tile and the whole
picture become side x side visual tokens of scale_factor x scale_factor patches. The prompt marks
every tile with tokens of its own, so the visual tokens stand in as many runs as there are views.
No [CLS].

SmolVLM2 reads videos: a frame is one view, never split, behind words that tell its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor
from transformers import BaseImageProcessor

from explorer.errors import ModelUnavailable
from explorer.media.grid import Grid, Timeline
from explorer.media.layouts import frames as frame_grid
from explorer.media.layouts import tiled
from explorer.vlm.components import ChatPrompt, Pixels, Tower, Vision, Vlm, decoder, hooked_modules
from explorer.vlm.families.video_metadata import metadata
from explorer.vlm.prompt import build_chat


def preprocess(vlm: Vlm, image: Image.Image) -> Pixels:
    """Let the processor split, resize and normalise: [1, V, 3, side, side]."""
    values = vlm.processor.image_processor(images=[image], return_tensors="pt")["pixel_values"]
    return {"pixel_values": values.to(vlm.device, vlm.model.dtype)}


def coarser(looks: BaseImageProcessor, resolution: str) -> BaseImageProcessor:
    """Give a copy of an image processor that doesn't split pictures, or into 2 x 2 tiles."""
    looks = copy(looks)
    if resolution == "whole":
        looks.do_image_splitting = False
    else:
        side = looks.max_image_size["longest_edge"]
        looks.size = replace(looks.size, longest_edge=min(2 * side, looks.size["longest_edge"]))
    return looks


def grid(vlm: Vlm, width: int, height: int) -> Grid:
    """Place the visual tokens on the uploaded picture, which is stretched to whole tiles."""
    processor, config = vlm.processor.image_processor, vlm.model.config
    _, rows, columns = processor.get_number_of_image_patches(height, width)
    side, patch = processor.max_image_size["longest_edge"], config.vision_config.patch_size
    joined = config.scale_factor
    return tiled(
        width,
        height,
        max(rows, 1),
        max(columns, 1),
        side // patch // joined,
        thumbnail="last" if rows * columns else None,
        merge=joined,
        # A tile that is no multiple of the patch (384/14) has an edge that is never seen.
        seen=side // patch * patch / side,
    )


def preprocess_frames(
    vlm: Vlm, images: Sequence[Image.Image], time: Timeline
) -> tuple[Pixels, Grid]:
    """Let the processor resize and normalise frames of one size: [1, F, 3, side, side]."""
    video_processor = getattr(vlm.processor, "video_processor", None)
    if video_processor is None:  # SmolVLM, Idefics3
        raise ModelUnavailable(
            f"{vlm.title} reads pictures only, and cuts them into pieces; please choose another "
            "model for videos."
        )
    inputs = video_processor([list(images)], do_sample_frames=False, return_tensors="pt")
    side, config = video_processor.max_image_size["longest_edge"], vlm.model.config
    patches, joined = side // config.vision_config.patch_size, config.scale_factor
    tokens = patches // joined
    laid = frame_grid(
        *images[0].size,
        len(images),
        tokens,
        tokens,
        merge=joined,
        seen=patches * config.vision_config.patch_size / side,
    )
    values = inputs["pixel_values"].to(vlm.device, vlm.model.dtype)
    return {"pixel_values_videos": values}, replace(laid, time=time)


def build_prompt(vlm: Vlm, question: str, grid: Grid) -> ChatPrompt:
    """Write the prompt: the placeholder becomes a marked run of visual tokens for every view."""
    if grid.time is not None:
        return _video_prompt(vlm, question, grid)
    whole, *canvas = grid.views
    rows = canvas[0].rows // whole.rows if canvas else 0
    columns = canvas[0].columns // whole.columns if canvas else 0
    processor = vlm.processor
    picture = processor.replace_image_token({"rows": [[rows]], "cols": [[columns]]}, 0)
    return build_chat(processor, question, processor.image_token, picture, processor.image_token_id)


def _video_prompt(vlm: Vlm, question: str, grid: Grid) -> ChatPrompt:
    processor = vlm.processor
    made = {"pixel_values": torch.empty(1, len(grid.views)), "video_metadata": [metadata(grid)]}
    video, mark = processor.replace_video_token(made, 0), processor.video_token
    return build_chat(processor, question, mark, video, processor.image_token_id, "video")


def vision_tower(vlm: Vlm) -> Tower:
    """Take the vision side apart."""
    inner = vlm.model.model
    layers = inner.vision_model.encoder.layers

    def look(values: Tensor) -> Vision:
        out = inner.get_image_features(pixel_values=values, return_dict=True)
        return Vision(out.last_hidden_state, torch.cat(list(out.pooler_output)))

    def run(pixels: Pixels) -> Vision:
        values = pixels.get("pixel_values_videos")
        if values is not None:
            return look(values)
        # The whole picture comes last in the prompt, but views are numbered from it.
        values = pixels["pixel_values"].roll(1, 1)
        states, features, _ = look(values)
        of_one_view = len(features) // values.shape[1]
        return Vision(states, features.roll(-of_one_view, 0))

    return Tower(
        attention=layers[-1].self_attn,
        **hooked_modules([layer.self_attn for layer in layers]),
        has_cls=False,
        run=run,
        project=inner.connector.modality_projection,
        projector_layers=(inner.connector.modality_projection.proj,),
        patches_per_token=vlm.model.config.scale_factor**2,
        layers=tuple(layers),
        feeds=len(layers) - 1,
        norm=inner.vision_model.post_layernorm,
        viewer=inner.vision_model,
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
