"""Checkpoints' own classes, with few layers, patches and words."""

from __future__ import annotations

import pytest
import torch

from explorer.tools.bench.real import build
from explorer.vlm.components import Vlm

SMOLVLM, LLAVA = "smolvlm-256m", "llava-1.5-7b"
NEXT, ONEVISION = "llava-next-mistral-7b", "onevision-0.5b"
FEWER = {
    SMOLVLM: {"side": 64, "tiles": 2, "scale_factor": 2},
    LLAVA: {"side": 70},
    NEXT: {"side": 42},
    ONEVISION: {"side": 48, "tiles": 3},
}
NARROW = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}


def small(key: str, dtype: torch.dtype = torch.float32, words: int = 3) -> Vlm:
    """Give SmolVLM with tiles of 64 pixels, four patches to a token and up to 2 x 2 tiles, LLaVA
    with 5 x 5 patches, or LLaVA-NeXT or OneVision with 3 x 3 in a crop; random weights.
    """
    shape = build.shapes()[key] | FEWER[key]
    vision = {"num_hidden_layers": 3, "image_size": shape["side"]} | NARROW
    text = {"num_hidden_layers": 4, "num_key_value_heads": 2, "vocab_size": 300} | NARROW
    few = shape | {"vision": shape["vision"] | vision, "text": shape["text"] | text}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "shapes", lambda: {key: few})
        return build.build(key, dtype, words)
