"""LLaVA-NeXT (LLaVA-1.6): the whole picture, then a canvas of crops with a newline after each row.

Tower and prompt are those of LLaVA-1.5. Newline tokens carry the picture's token id, but stand for
no patch.
"""

from __future__ import annotations

from PIL import Image

from explorer.media.grid import Grid
from explorer.media.layouts import tiled
from explorer.vlm.components import Pixels, Vlm, decoder
from explorer.vlm.families.anyres import canvas
from explorer.vlm.families.llava import build_prompt, vision_tower


def preprocess(vlm: Vlm, image: Image.Image) -> Pixels:
    """Let the processor lay out, cut, resize and normalise: [1, V, 3, side, side]."""
    inputs = vlm.processor.image_processor(images=[image], return_tensors="pt")
    return {
        "pixel_values": inputs["pixel_values"].to(vlm.device, vlm.model.dtype),
        "image_sizes": inputs["image_sizes"].to(vlm.device),
    }


def grid(vlm: Vlm, width: int, height: int) -> Grid:
    """Place the visual tokens on the uploaded picture."""
    config = vlm.model.config
    side, patch = config.vision_config.image_size, config.vision_config.patch_size
    laid = canvas(width, height, config.image_grid_pinpoints, side, side // patch)
    return tiled(
        width,
        height,
        laid.rows,
        laid.columns,
        side // patch,
        thumbnail="first",
        newline=True,
        seen=side // patch * patch / side,
        content=laid.content,
        cut=laid.cut,
    )


__all__ = ["build_prompt", "decoder", "grid", "preprocess", "vision_tower"]
