"""LLaVA-OneVision: as LLaVA-NeXT, with SigLIP, more canvases, and pooling where crops are many.

If the canvas has more tokens than "anyres_max_9" allows for (those of nine crops), its features
are interpolated to fewer rows and columns. SigLIP has no [CLS], and its side of 384 pixels is no
multiple of its patches of 14, so that the last pixels of every crop are never seen.
"""

from __future__ import annotations

import math

from explorer.families.anyres import canvas
from explorer.families.language import decoder
from explorer.families.llava import tower, words
from explorer.families.llava_next import pixels
from explorer.families.parts import Vlm
from explorer.grid import Grid, tiled

ENOUGH = 1.1  # a canvas that is larger than allowed by less than this factor stays as it is


def grid(vlm: Vlm, width: int, height: int) -> Grid:
    """Place the visual tokens on the uploaded picture."""
    config = vlm.model.config
    side, patch = config.vision_config.image_size, config.vision_config.patch_size
    tokens = side // patch
    laid = canvas(width, height, config.image_grid_pinpoints, side, tokens)
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
        seen=tokens * patch / side,
        content=laid.content,
        cut=laid.cut,
        pooled=(int(rows // ratio), int(columns // ratio)) if ratio > ENOUGH else None,
    )


__all__ = ["decoder", "grid", "pixels", "tower", "words"]
