"""Models that one card does not hold: packed into four bits, or spread over cards by accelerate.

accelerate's hooks move what enters a module to where its weights are. The engine takes a model
apart and calls its modules one by one, so here every module also sends back what it gives to where
its input came from: then everything outside the modules stays on one device. Knows devices and
modules; not which models there are.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from explorer import spaces

FULL = 0.9  # of one card: more is spread over all of them
TOWERS = ("vision_tower", "vision_model", "visual", "multi_modal_projector", "connector", "lm_head")
"""Kept as they are with four bits: scores come from the tower, and are what this is about."""


def settings(four_bit: bool, place: str, nbytes: float, dtype: torch.dtype) -> dict:
    """Give what `from_pretrained` must be told. nbytes: about what the weights will take."""
    found: dict[str, object] = {}
    if four_bit:
        found["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=[rf"(.*\.)?{name}" for name in TOWERS],
        )
    if place == "cuda" and not spaces and nbytes > FULL * torch.cuda.mem_get_info()[0]:
        found["device_map"] = "auto"
    elif four_bit:
        found["device_map"] = {"": 0 if place == "cuda" else place}
    return found


def gather(model: nn.Module) -> nn.Module:
    """Let every module that accelerate has placed send back what it gives."""
    for module in model.modules():
        hook = getattr(module, "_hf_hook", None)
        for each in getattr(hook, "hooks", (hook,)):
            if hasattr(each, "io_same_device"):
                each.io_same_device = True
    return model


def first_device(model: nn.Module) -> torch.device:
    """Name the device on which a model's inputs are expected."""
    places = getattr(model, "hf_device_map", {}).values()
    cards = [place for place in places if place not in ("cpu", "disk")]
    if cards:
        return (
            torch.device("cuda", cards[0]) if isinstance(cards[0], int) else torch.device(cards[0])
        )
    return torch.device("cpu") if places else next(model.parameters()).device
