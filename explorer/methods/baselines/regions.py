"""Cut the picture into K regions of nearly equal size, for the baselines `uniform` and `pool`.

Knows only where tokens lie: neither what they show nor what a region is used for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def regions(place: Tensor, count: int) -> Tensor:
    """Give the region of every token, [N] in 0..count-1 in reading order, -1 for none.

    place [N, 3] is view, row and column; every view is a full grid, and gets its share of the
    regions by its number of tokens (none, if there are fewer regions than views). A token without
    a patch is in no region, unless the regions outnumber the patches: then it is one by itself.
    """
    region = torch.full((place.shape[0],), -1, dtype=torch.long, device=place.device)
    patches = (place[:, 0] >= 0).nonzero()[:, 0]
    total = len(patches)
    first, seen = 0, 0
    for view in place[patches, 0].unique().tolist():
        tokens = (place[:, 0] == view).nonzero()[:, 0]
        seen += len(tokens)
        share = min(count, total) * seen // total - first
        if share:
            region[tokens] = first + _grid_regions(place[tokens, 1:], share)
        first += share
    if count > first:
        lonely = (place[:, 0] < 0).nonzero()[: count - first, 0]
        region[lonely] = torch.arange(first, count, device=place.device)
    return region


def _grid_regions(cells: Tensor, count: int) -> Tensor:
    """Cut one grid into bands of rows, and each band into cells; [n] in 0..count-1."""
    row = cells[:, 0].unique(return_inverse=True)[1]
    column = cells[:, 1].unique(return_inverse=True)[1]
    height, width = int(row.max()) + 1, int(column.max()) + 1
    # bands as high as their cells are wide; enough of them that no cell is narrower than a column
    bands = round(math.sqrt(count * height / width))
    bands = min(max(bands, math.ceil(count / width)), height, count)
    band = row * bands // height
    start = band * count // bands
    in_band = (band + 1) * count // bands - start
    return start + column * in_band // width
