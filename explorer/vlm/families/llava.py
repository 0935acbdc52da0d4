"""LLaVA-1.5 and every checkpoint of its shape, the built-in pico included.

The picture is padded to a square with the processor's mean colour, as the original LLaVA does
(transformers' own processor would cut both ends off the longer side), and becomes rows x rows
visual tokens. Decides "has a [CLS]" by `vision_feature_select_strategy`, never by class name.
"""

from __future__ import annotations

import torch
from PIL import Image
from transformers import PreTrainedModel

from explorer.errors import ModelUnavailable
from explorer.media.grid import Grid
from explorer.media.image import pad_to_square
from explorer.media.layouts import padded_square
from explorer.vlm.components import ChatPrompt, Pixels, Tower, Vision, Vlm, decoder, hooked_modules
from explorer.vlm.prompt import build_chat


def preprocess(vlm: Vlm, image: Image.Image) -> Pixels:
    """Pad to a square and let the processor resize and normalise: [1, 3, side, side]."""
    processor = vlm.processor.image_processor
    mean = tuple(round(255 * channel) for channel in processor.image_mean)
    values = processor(images=pad_to_square(image, mean), return_tensors="pt")["pixel_values"]
    return {"pixel_values": values.to(vlm.device, vlm.model.dtype)}


def grid(vlm: Vlm, width: int, height: int) -> Grid:
    """Place the visual tokens on the uploaded picture."""
    vision = vlm.model.config.vision_config
    side = vision.image_size // vision.patch_size
    # A side that is no multiple of the patch (SigLIP 384/14) leaves an edge that is never seen.
    seen = side * vision.patch_size / vision.image_size
    return padded_square(width, height, side, seen)


def build_prompt(vlm: Vlm, question: str, grid: Grid) -> ChatPrompt:
    """Write the prompt: one placeholder of the template becomes all visual tokens."""
    mark = vlm.processor.image_token
    return build_chat(
        vlm.processor, question, mark, mark * grid.count, vlm.model.config.image_token_id
    )


def vision_tower(vlm: Vlm) -> Tower:
    """Take the vision side apart."""
    return tower_of(vlm.model.model)


def tower_of(inner: PreTrainedModel) -> Tower:
    """Take a model without its head apart, here or of a family that looks in the same way."""
    config, projector = inner.config, inner.multi_modal_projector
    layer = config.vision_feature_layer
    if not isinstance(layer, int):
        raise ModelUnavailable("This model mixes several vision layers, which is not supported.")

    def run(pixels: Pixels) -> Vision:
        out = inner.get_image_features(**pixels, return_dict=True)
        return Vision(out.hidden_states[layer], torch.cat(list(out.pooler_output)))

    # hidden_states[k] is what layer k - 1 gives; counted from the end both agree.
    layers = inner.vision_tower.encoder.layers
    feeds = (layer if layer < 0 else layer - 1) % len(layers)
    return Tower(
        attention=layers[feeds].self_attn,
        **hooked_modules([layer.self_attn for layer in layers]),
        has_cls=config.vision_feature_select_strategy == "default",
        run=run,
        project=projector,
        projector_layers=(projector.linear_1, projector.act, projector.linear_2),
        layers=tuple(layers),
        feeds=feeds,
        viewer=inner.vision_tower,
    )


__all__ = ["build_prompt", "decoder", "grid", "preprocess", "vision_tower"]
