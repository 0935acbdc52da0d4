"""LLaVA-NeXT (LLaVA-1.6): the whole picture, then a canvas of crops with a newline after each row.

Tower and prompt are those of LLaVA-1.5. Newline tokens carry the picture's token id, but stand for
no patch.
"""

from __future__ import annotations

from explorer.media.grid import Grid
from explorer.media.layouts import tiled, whole_alone
from explorer.vlm.components import Tower, Vlm, decoder
from explorer.vlm.families import llava
from explorer.vlm.families.anyres import canvas, coarser, packing_as_cut, preprocess
from explorer.vlm.families.llava import build_prompt


def grid(vlm: Vlm, width: int, height: int) -> Grid:
    """Place the visual tokens on the uploaded picture."""
    config = vlm.model.config
    side, patch = config.vision_config.image_size, config.vision_config.patch_size
    seen, sizes = side // patch * patch / side, vlm.processor.image_processor.image_grid_pinpoints
    if not sizes:
        return whole_alone(width, height, side // patch, seen)
    laid = canvas(width, height, sizes, side, side // patch)
    return tiled(
        width,
        height,
        laid.rows,
        laid.columns,
        side // patch,
        thumbnail="first",
        newline=True,
        seen=seen,
        content=laid.content,
        cut=laid.cut,
    )


def vision_tower(vlm: Vlm) -> Tower:
    """Take the vision side apart."""
    return llava.tower_of(packing_as_cut(vlm))


__all__ = ["build_prompt", "coarser", "decoder", "grid", "preprocess", "vision_tower"]
