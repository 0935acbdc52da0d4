"""Visual token <-> patch <-> box on the uploaded picture.

Knows rows, columns and boxes; not models, nor how a family lays its tokens out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def share(grid: Grid, box: Box, kept: Sequence[int]) -> float:
    """Give the share of a box's area, 0 to 1, that lies under at least one of the kept tokens.

    box: x0, y0, x1, y1 in pixels of the uploaded picture. Views of the picture may overlap; what
    lies under two patches counts once.
    """
    x0, y0, x1, y1 = map(float, box)
    patches = np.nan_to_num(grid.boxes[list(kept)].astype(np.float64))
    left, top = patches[:, 0].clip(x0, x1), patches[:, 1].clip(y0, y1)
    right, bottom = patches[:, 2].clip(x0, x1), patches[:, 3].clip(y0, y1)
    columns = np.unique([x0, x1, *left, *right])
    rows = np.unique([y0, y1, *top, *bottom])
    across = (columns[:-1] >= left[:, None]) & (columns[1:] <= right[:, None])
    down = (rows[:-1] >= top[:, None]) & (rows[1:] <= bottom[:, None])
    covered = (down[:, :, None] & across[:, None, :]).any(0)
    area = np.diff(rows)[:, None] * np.diff(columns)
    return float(area[covered].sum() / area.sum())


def touched(boxes: np.ndarray, box: Box) -> np.ndarray:
    """Tell of each patch, boxes [N, 4], whether it shares any area with a box; bool [N]."""
    x0, y0, x1, y1 = box
    left, top, right, bottom = boxes.T
    return (left < x1) & (right > x0) & (top < y1) & (bottom > y0)


Box = tuple[float, float, float, float]

_SLIVER = 1e-3  # pixels; less than this of the picture inside a box is rounding


@dataclass(frozen=True)
class View:
    """One grid of tokens: its name, tokens down and across, and the box that it covers.

    box: x0, y0, x1, y1 in pixels of the uploaded picture; may reach outside it.
    """

    name: str
    rows: int
    columns: int
    box: Box


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video are shown: `seconds` of each; the video `lasts` so many."""

    seconds: tuple[float, ...]
    lasts: float


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the visual tokens of a picture of width x height pixels lie.

    place [N, 3] int16: view, row, column; -1 for a token without a patch, such as a newline.
    boxes [N, 4] float32: x0, y0, x1, y1 in pixels of the uploaded picture; NaN without a patch.
    patches [N, P] int32: the patches that a token stands for, crop * n + patch; -1 is padding.
    time: of the frames of a video; None for a picture.
    """

    width: int
    height: int
    views: tuple[View, ...]
    place: np.ndarray
    boxes: np.ndarray
    patches: np.ndarray
    time: Timeline | None = None

    @property
    def count(self) -> int:
        """N, the visual tokens, newlines included."""
        return len(self.place)

    @property
    def columns(self) -> int:
        """Tokens in a row of the first view."""
        return self.views[0].columns

    @property
    def padding(self) -> np.ndarray:
        """Which tokens lie wholly outside the picture, [N] bool."""
        x0, y0, x1, y1 = self.boxes.T
        beside = (x1 <= _SLIVER) | (x0 >= self.width - _SLIVER)
        return beside | (y1 <= _SLIVER) | (y0 >= self.height - _SLIVER)
