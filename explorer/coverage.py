"""How much of a box on the picture lies under kept patches.

Pure numpy; knows grids and boxes, not what is in them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.grid import Box, Grid


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
