"""AnyRes: a picture on a canvas of square crops, beside the whole picture as one more crop.

The canvas is the one of a list that shows the picture largest. The picture is laid in its middle,
and rows or columns of tokens that would show nothing but padding are cut off again. Shared by
LLaVA-NeXT and LLaVA-OneVision; numbers only, no model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from transformers.image_processing_utils import select_best_resolution

from explorer.media.grid import Box


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
