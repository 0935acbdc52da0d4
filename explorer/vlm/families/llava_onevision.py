"""LLaVA-OneVision: as LLaVA-NeXT, with SigLIP, more canvases, and pooling where crops are many.

If the canvas has more tokens than "anyres_max_9" allows for (those of nine crops), its features
are interpolated to fewer rows and columns. SigLIP has no [CLS], and its side of 384 pixels is no
multiple of its patches of 14, so that the last pixels of every crop are never seen.

Frames of a video become one crop each, pooled to half as many rows and columns; one newline token
stands behind the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from explorer.media.grid import Grid, Timeline
from explorer.media.layouts import frames as frame_grid
from explorer.media.layouts import tiled, whole_alone
from explorer.vlm.components import ChatPrompt, Pixels, Tower, Vision, Vlm, decoder
from explorer.vlm.families import llava
from explorer.vlm.families.anyres import canvas, coarser, packing_as_cut, preprocess
from explorer.vlm.prompt import build_chat

ENOUGH = 1.1  # a canvas that is larger than allowed by less than this factor stays as it is


def grid(vlm: Vlm, width: int, height: int) -> Grid:
    """Place the visual tokens on the uploaded picture."""
    config = vlm.model.config
    side, patch = config.vision_config.image_size, config.vision_config.patch_size
    tokens, sizes = side // patch, vlm.processor.image_processor.image_grid_pinpoints
    seen = tokens * patch / side
    if not sizes:
        return whole_alone(width, height, tokens, seen)
    laid = canvas(width, height, sizes, side, tokens)
    rows, columns = laid.tokens
    crops = int(config.vision_aspect_ratio.removeprefix("anyres_max_"))
    ratio = math.sqrt(rows * columns / (crops * tokens**2))
    return tiled(
        width,
        height,
        laid.rows,
        laid.columns,
        tokens,
        thumbnail="first",
        newline=True,
        seen=seen,
        content=laid.content,
        cut=laid.cut,
        pooled=(int(rows // ratio), int(columns // ratio)) if ratio > ENOUGH else None,
    )


def preprocess_frames(
    vlm: Vlm, images: Sequence[Image.Image], time: Timeline
) -> tuple[Pixels, Grid]:
    """Let the processor resize and normalise frames of one size: [1, F, 3, side, side]."""
    video_processor = vlm.processor.video_processor
    inputs = video_processor([list(images)], do_sample_frames=False, return_tensors="pt")
    vision = vlm.model.config.vision_config
    tokens = vision.image_size // vision.patch_size
    laid = frame_grid(
        *images[0].size,
        len(images),
        tokens,
        tokens,
        newline_at_end=True,
        seen=tokens * vision.patch_size / vision.image_size,
        pooled=(math.ceil(tokens / 2), math.ceil(tokens / 2)),
    )
    values = inputs["pixel_values_videos"].to(vlm.device, vlm.model.dtype)
    return {"pixel_values_videos": values}, replace(laid, time=time)


def build_prompt(vlm: Vlm, question: str, grid: Grid) -> ChatPrompt:
    """Write the prompt: one placeholder of the template becomes all visual tokens."""
    if grid.time is None:
        return llava.build_prompt(vlm, question, grid)
    mark, video = vlm.processor.video_token, vlm.model.config.video_token_id
    return build_chat(vlm.processor, question, mark, mark * grid.count, video, "video")


def vision_tower(vlm: Vlm) -> Tower:
    """Take the vision side apart, which looks at a picture or at frames."""
    inner = packing_as_cut(vlm)
    taken = llava.tower_of(inner)

    def run(pixels: Pixels) -> Vision:
        if "pixel_values_videos" not in pixels:
            return taken.run(pixels)
        out = inner.get_video_features(**pixels, return_dict=True)
        states = out.hidden_states[vlm.model.config.vision_feature_layer]
        return Vision(states, out.pooler_output[0])

    return replace(taken, run=run)


__all__ = [
    "build_prompt",
    "coarser",
    "decoder",
    "grid",
    "preprocess",
    "preprocess_frames",
    "vision_tower",
]
