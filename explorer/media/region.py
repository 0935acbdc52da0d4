"""A region of a picture, named by cells of an 8 x 8 grid, as the perception tokens of VPT name it.

Yu, Ma, Wang, "Introducing Visual Perception Token into Multimodal Large Language Model", arXiv
2502.17425; yu-rp/VisualPerceptionToken @48b64de, evaluation/evaluation.py. Pure numbers: knows
no model, and not who chose the cells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from explorer.errors import BadRegion

CUTS = 8  # cells along each side
RESOLUTION = 512  # the longer side of a crop, at most
SMALLEST = 28  # the shorter side of a crop, at least

NAMED = re.compile(r"<\|region_token_start\|>((?:<\|[xy]_[0-7]\|>)+)<\|region_token_end\|>")
TOKEN = re.compile(r"<\|([xy])_([0-7])\|>")


@dataclass(frozen=True)
class Cells:
    """Columns x0..x1 and rows y0..y1 of the grid, both ends included, counted from 0."""

    x0: int
    y0: int
    x1: int
    y1: int

    def __post_init__(self) -> None:
        if not (0 <= self.x0 <= self.x1 < CUTS and 0 <= self.y0 <= self.y1 < CUTS):
            raise BadRegion(f"A region lies on the {CUTS} x {CUTS} grid, corner before corner.")

    def dilated(self) -> Cells:
        """Take in one cell more on every side, where there is one."""
        last = CUTS - 1
        return Cells(
            max(self.x0 - 1, 0),
            max(self.y0 - 1, 0),
            min(self.x1 + 1, last),
            min(self.y1 + 1, last),
        )

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Give left, top, right, bottom in pixels of a picture, cut off to whole ones."""
        return (
            int(self.x0 * width / CUTS),
            int(self.y0 * height / CUTS),
            int((self.x1 + 1) * width / CUTS),
            int((self.y1 + 1) * height / CUTS),
        )


def region_phrase(text: str) -> Cells | None:
    """Read the region that a model's words name; None if there is none, or no whole one."""
    found = NAMED.search(text)
    if found is None:
        return None
    at = {axis: [int(n) for name, n in TOKEN.findall(found[1]) if name == axis] for axis in "xy"}
    if not at["x"] or not at["y"]:
        return None
    return Cells(min(at["x"]), min(at["y"]), max(at["x"]), max(at["y"]))


def seen_size(width: int, height: int, resolution: int = RESOLUTION) -> tuple[int, int]:
    """Give the size to which a crop is brought: not larger, not thinner than the model likes."""
    longer = max(width, height)
    if longer > resolution:
        width, height = int(width * resolution / longer), int(height * resolution / longer)
    return max(width, SMALLEST), max(height, SMALLEST)


def covering(boxes: np.ndarray, scores: np.ndarray, share: float, size: tuple[int, int]) -> Cells:
    """Give the cells around the patches with the best scores; ours, VPT lets its model choose.

    boxes [N, 4] left, top, right, bottom on a picture of `size` (width, height), scores [N];
    share: of the patches.
    """
    count = max(1, round(share * len(scores)))
    best = boxes[np.argsort(-scores, kind="stable")[:count]]
    middle = (best[:, :2] + best[:, 2:]) / 2
    cells = np.clip(middle * CUTS // np.array(size), 0, CUTS - 1).astype(int)
    return Cells(*cells.min(0).tolist(), *cells.max(0).tolist())
