"""Windows: cut every view of a picture into the same number of parts along each side.

Knows where tokens lie; not what is looked for in a window.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor


def windows(place: Tensor, count: int) -> Tensor:
    """Number the window of every token [N], count x count in each view; -1 without a patch.

    place [N, 3]: view, row and column. Windows differ by a row or column where the grid is no
    multiple of count; some are empty where it is smaller.
    """
    number = torch.full_like(place[:, 0], -1)
    for view in range(int(place[:, 0].max()) + 1):
        mine = (place[:, 0] == view).nonzero()[:, 0]
        cell = torch.zeros_like(mine)
        for axis in (1, 2):
            at = place[mine, axis]
            length = int(at.max()) + 1 if len(at) else 0
            ends = [round(i * length / count) for i in range(count + 1)]
            inside = sum(((at >= a) & (at < b)) * w for w, (a, b) in enumerate(pairwise(ends)))
            cell = cell * count + inside
        number[mine] = view * count**2 + cell
    return number
