"""QuoTA: share a budget of visual tokens out over the frames of a video, by what is asked.

Luo et al., "QuoTA: Query-oriented Token Assignment via CoT Query Decouple for Long Video
Comprehension", arXiv 2503.08689; MAC-AutoML/QuoTA @ec194d7 (quota_pipeline.py,
core/llava_arch.py), by its code: of the paper only the abstract could be read. Nothing is chosen
within a frame: each frame's grid of tokens is resized to the frame's share. Knows numbers and
tensors; not who scored the frames, what a frame shows, or how its tokens come to the model.
Letters: F frames, S tokens along a side of a frame, B tokens to share out, D width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

ALPHA = 2.0  # quota_pipeline.py, weight_scale = [100, 2]; the factor 100 cancels
VERSIONS = ("v1", "v2")  # v3 to v5 of the official code don't run to the end

GridShape = tuple[int, int]
"""Rows and columns of a frame's grid; (0, 0) where the frame is dropped."""


def frame_weights(scores: Sequence[float], alpha: float = ALPHA) -> list[float]:
    """Give every frame its share w_i = q_i^alpha / sum q^alpha; alpha = 0 shares evenly.

    scores [F]: q_i, the probability that frame i shows what is asked for. Where no frame has any,
    all get the same, which is ours.
    """
    top = max(scores)
    if alpha == 0 or top <= 0:
        return [1 / len(scores)] * len(scores)
    raised = [(score / top) ** alpha for score in scores]  # by the largest: no power vanishes
    return [value / sum(raised) for value in raised]


def cap_weights(shares: Sequence[float], most: float) -> list[float]:
    """Cut shares at `most` and hand what is over to the others, once (scale_weights).

    As in the code, what is over grows while it is handed out, what is handed out isn't, and the
    shares need not sum up to 1 in the end.
    """
    shares = list(shares)
    over = 0.0
    for number, share in enumerate(shares):
        if share > most:
            over += share - most
            shares[number] = most
    total = sum(shares)
    for number, share in enumerate(shares):
        if share < most:
            grown = share + over * share / total
            over += max(0.0, grown - most)
            shares[number] = min(grown, most)
    return shares


def tokens_per_frame(shares: Sequence[float], budget: int) -> list[int]:
    """Turn shares into tokens, n_i = int(B w_i), cut off.

    # differs: where that leaves nobody, the frame with the largest share gets one token; the
    official code would go on without any.
    """
    counts = [int(budget * share) for share in shares]
    if not any(counts):
        counts[max(range(len(shares)), key=lambda number: shares[number])] = 1
    return counts


def grid_shape(tokens: int) -> GridShape:
    """Find the grid of at most `tokens` tokens: a square, or one row more where that fits."""
    side = math.isqrt(max(tokens, 0))
    return (side + 1, side) if 0 < (side + 1) * side <= tokens else (side, side)


def grid_shapes(
    scores: Sequence[float], budget: int, whole: int, alpha: float = ALPHA, version: str = "v1"
) -> list[GridShape]:
    """Give every frame its grid, [F]; version 2 lets no frame have more than its `whole` tokens."""
    shares = frame_weights(scores, alpha)
    if version == "v2":
        shares = cap_weights(shares, whole / budget)
    return [grid_shape(tokens) for tokens in tokens_per_frame(shares, budget)]


def resize_frames(
    features: Tensor,
    grids: Sequence[GridShape],
    version: str = "v1",
    whole: GridShape | None = None,
) -> list[Tensor]:
    """Resize every frame [F, S * S, D] to its grid: [h * w, D] each, row by row.

    whole: rows and columns of a frame, where they are not S x S; the grids stay squares. Version 1
    interpolates bilinearly without smoothing, also to more tokens than there were; version 2
    averages.
    """
    whole = whole or (math.isqrt(features.shape[1]),) * 2
    frames = features.float().transpose(1, 2).unflatten(2, whole)
    return [
        _resize(frame[None], grid, version)[0].flatten(1).T
        if grid[0]
        else features.new_zeros(0, features.shape[2], dtype=torch.float32)
        for frame, grid in zip(frames, grids, strict=True)
    ]


def _resize(frame: Tensor, grid: GridShape, version: str) -> Tensor:
    if version == "v2":
        return adaptive_avg_pool2d(frame, grid)
    return interpolate(frame, size=grid, mode="bilinear", align_corners=False)


def with_newlines(frame: Tensor, grid: GridShape, newline: Tensor) -> Tensor:
    """Put a model's newline token [D] behind every row of a frame [h * w, D]: [h * (w + 1), D]."""
    rows = frame.unflatten(0, grid)
    ends = newline.to(frame).expand(grid[0], 1, -1)
    return torch.cat([rows, ends], 1).flatten(0, 1)
