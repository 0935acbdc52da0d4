"""A checkpoint's own classes and picture geometry, with few layers, patches and words."""

from __future__ import annotations

import pytest
import torch

from explorer.tools.bench.real import build
from explorer.vlm.components import Vlm

SMOLVLM = "smolvlm-256m"


def small_smolvlm(dtype: torch.dtype = torch.float32, words: int = 3) -> Vlm:
    """SmolVLM-256M with tiles of 64 pixels, four patches to a token, and up to 2 x 2 tiles."""
    shape = build.shapes()[SMOLVLM]
    few = shape | {
        "side": 64,
        "tiles": 2,
        "scale_factor": 2,
        "vision": shape["vision"] | {"num_hidden_layers": 3, "image_size": 64},
        "text": shape["text"] | {"num_hidden_layers": 4, "vocab_size": 300},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "shapes", lambda: {SMOLVLM: few})
        return build.build(SMOLVLM, dtype, words)
