"""How much memory a model at its true size takes here, told before it is loaded.

What a case keeps and a run holds is reckoned from the shapes of its tensors. Knows sizes; builds
and runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from explorer.inference.attention_weights import MAX_ATTENTION_ELEMENTS
from explorer.tools.bench.real.build import outline
from explorer.vlm.components import Vlm

PROGRAM = 0.75e9  # bytes of Python with torch and transformers
PICTURE = (640, 480)  # pixels
TEXT = 64  # tokens around the picture, about
SINGLE = torch.float32.itemsize  # of scores, whatever the weights' precision
LOST = 1.25  # of what runs hold, for what stands between it in the heaps


@dataclass(frozen=True)
class Estimate:
    """Bytes. weights: of the model; kept: what a case keeps of a picture; run: what computing adds
    to them at most.
    """

    weights: float
    kept: int
    run: int

    @property
    def peak(self) -> float:
        """Bytes of the whole process when it takes the most."""
        return PROGRAM + self.weights + LOST * (self.kept + self.run)


def estimate(
    key: str, weights: float, dtype: torch.dtype, picture: tuple[int, int] = PICTURE
) -> Estimate:
    """Reckon what an analysis of a picture of so many pixels takes. weights: bytes of the model."""
    vlm, size = outline(key), dtype.itemsize
    grid = vlm.family.grid(vlm, *picture)
    views, n, width, inner = _tower(vlm, int(grid.patches.max()) + 1)
    rows = views * n * (n + width)  # attention of all patches, and one vector of each
    tower = views * n * (2 * inner + 4 * width) * size
    signals = 2 * (rows + min(rows, MAX_ATTENTION_ELEMENTS)) * SINGLE
    return Estimate(
        weights=weights,
        kept=views * n * 4 * width * size,  # queries, keys, hidden states, pixels
        run=tower + signals + _layers(vlm, grid.count + TEXT) * size,
    )


def _tower(vlm: Vlm, seen: int) -> tuple[int, int, int, int]:
    """Give views of a picture, patches in each, and the widths of a patch and inside an FFN."""
    vision = vlm.model.config.vision_config
    width = getattr(vision, "embed_dim", None) or vision.hidden_size
    inner = getattr(vision, "intermediate_size", None) or 4 * width
    side, patch = getattr(vision, "image_size", None), vision.patch_size
    if side is None:  # one view of any shape
        return 1, seen, width, inner
    side, patch = (each[0] if isinstance(each, list | tuple) else each for each in (side, patch))
    n = (side // patch) ** 2
    return max(1, round(seen / n)), n, width, inner


def _layers(vlm: Vlm, tokens: int) -> int:
    """Count the numbers that the language model holds: its cache, and each layer's input.

    The cache of the answer and that of maps, which are drawn over the same prompt.
    """
    text = vlm.model.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    between = 2 * heads * head + 3 * text.hidden_size  # keys, values; query, input and output
    inside = 3 * text.intermediate_size
    return tokens * (text.num_hidden_layers * (between + 2 * heads * head) + inside)
