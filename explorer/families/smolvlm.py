"""SmolVLM, SmolVLM2 and Idefics3: square tiles, then the whole picture, pixel shuffle in each.

A picture is stretched to rows x columns tiles, unless splitting is off; each tile and the whole
picture become side x side visual tokens of scale_factor x scale_factor patches. The prompt marks
every tile with tokens of its own, so the visual tokens stand in as many runs as there are views.
No [CLS].
"""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from explorer.families.language import decoder
from explorer.families.parts import Pixels, Tower, Vision, Vlm, Words
from explorer.grid import Grid, tiled
from explorer.words import ask


def pixels(vlm: Vlm, image: Image.Image) -> Pixels:
    """Let the processor split, resize and normalise: [1, V, 3, side, side]."""
    values = vlm.processor.image_processor(images=[image], return_tensors="pt")["pixel_values"]
    return {"pixel_values": values.to(vlm.device, vlm.model.dtype)}


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


def words(vlm: Vlm, question: str, grid: Grid) -> Words:
    """Write the prompt: the placeholder becomes a marked run of visual tokens for every view."""
    whole, *canvas = grid.views
    rows = canvas[0].rows // whole.rows if canvas else 0
    columns = canvas[0].columns // whole.columns if canvas else 0
    processor = vlm.processor
    picture = processor.replace_image_token({"rows": [[rows]], "cols": [[columns]]}, 0)
    return ask(processor, question, processor.image_token, picture, processor.image_token_id)


def tower(vlm: Vlm) -> Tower:
    """Take the vision side apart."""
    inner = vlm.model.model
    layers = inner.vision_model.encoder.layers

    def run(pixels: Pixels) -> Vision:
        # The whole picture comes last in the prompt, but views are numbered from it.
        values = pixels["pixel_values"].roll(1, 1)
        out = inner.get_image_features(pixel_values=values, return_dict=True)
        features: Tensor = torch.cat(list(out.pooler_output))
        of_one_view = len(features) // values.shape[1]
        return Vision(out.last_hidden_state, features.roll(-of_one_view, 0))

    return Tower(
        attention=layers[-1].self_attn,
        first=layers[0].self_attn,
        last=layers[-1].self_attn,
        has_cls=False,
        run=run,
        project=inner.connector.modality_projection,
        joins=vlm.model.config.scale_factor**2,
    )


__all__ = ["decoder", "grid", "pixels", "tower", "words"]
