"""AnyRes: a picture on a canvas of square crops, beside the whole picture as one more crop.

The canvas is the one of a list that shows the picture largest. The picture is laid in its middle,
and rows or columns of tokens that would show nothing but padding are cut off again. The list is
that of the image processor, which may be shorter than the checkpoint's, or empty: then the whole
picture is looked at alone. Shared by LLaVA-NeXT and LLaVA-OneVision.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass

from PIL import Image
from transformers import BaseImageProcessor, PreTrainedModel
from transformers.image_processing_utils import select_best_resolution

from explorer.media.grid import Box
from explorer.vlm.components import Pixels, Vlm

NO_CROPS = [[0, 0]]  # the canvases of which a model packs the whole picture alone


@dataclass(frozen=True)
class Canvas:
    """How a picture lies on its canvas.

    rows, columns of crops; content: the box of the picture, in crops; cut: rows and columns of
    tokens taken off at both ends; tokens: rows and columns of tokens that are left.
    """

    rows: int
    columns: int
    content: Box
    cut: tuple[int, int]
    tokens: tuple[int, int]


def coarser(looks: BaseImageProcessor, resolution: str) -> BaseImageProcessor:
    """Give a copy of an image processor with canvases of up to 2 x 2 crops, or with none."""
    looks, sizes = copy(looks), looks.image_grid_pinpoints
    most = 0 if resolution == "whole" else 2 * min(map(min, sizes))
    looks.image_grid_pinpoints = [size for size in sizes if max(size) <= most]
    return looks


def preprocess(vlm: Vlm, image: Image.Image) -> Pixels:
    """Let the processor lay out, cut, resize and normalise: [1, V, 3, side, side]."""
    looks, side = vlm.processor.image_processor, vlm.model.config.vision_config.image_size
    sizes = looks.image_grid_pinpoints
    # It has to have a canvas; the whole picture comes first, whatever is behind it.
    inputs = looks([image], image_grid_pinpoints=sizes or [[side, side]], return_tensors="pt")
    values = inputs["pixel_values"] if sizes else inputs["pixel_values"][:, :1]
    return {
        "pixel_values": values.to(vlm.device, vlm.model.dtype),
        "image_sizes": inputs["image_sizes"].to(vlm.device),
    }


def packing_as_cut(vlm: Vlm) -> PreTrainedModel:
    """Give the model without its head, with the same weights and the canvases of its processor.

    By its configuration it takes views apart and packs them, and that one is of all canvases.
    """
    inner, sizes = copy(vlm.model.model), vlm.processor.image_processor.image_grid_pinpoints
    inner.config = copy(inner.config)
    inner.config.image_grid_pinpoints = sizes or NO_CROPS
    return inner


def canvas(width: int, height: int, sizes: list[list[int]], side: int, tokens: int) -> Canvas:
    """Choose a canvas among sizes (height, width) for crops of side pixels and tokens x tokens."""
    down, across = select_best_resolution((height, width), sizes)
    if across / width < down / height:
        seen = across, min(math.ceil(height * (across / width)), down)
    else:
        seen = min(math.ceil(width * (down / height)), across), down
    left, top = (across - seen[0]) // 2, (down - seen[1]) // 2
    content = (left / side, top / side, (left + seen[0]) / side, (top + seen[1]) / side)
    rows, columns = down // side * tokens, across // side * tokens
    # The model cuts in whole tokens and the processor pads in pixels, so a margin may stay.
    if width / height > columns / rows:
        cut = (rows - int(round(height * (columns / width), 7))) // 2, 0
    else:
        cut = 0, (columns - int(round(width * (rows / height), 7))) // 2
    left_over = (rows - 2 * cut[0], columns - 2 * cut[1])
    return Canvas(down // side, across // side, content, cut, left_over)
