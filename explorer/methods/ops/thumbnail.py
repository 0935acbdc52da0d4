"""The thumbnail: what the crop that shows the whole picture says about all the others.

Crop 0 is the thumbnail, crops 1..k are numbered row by row. Knows where tokens lie; not what the
numbers are that the thumbnail has for its tokens. Letters as in signals.py.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from explorer.methods.ops.bisection import largest
from explorer.methods.signals import Signals


def cell_sums(signals: Signals, values: Tensor, crop: Tensor, count: int) -> Tensor:
    """Add up values [N] of the thumbnail's tokens in the cell of each of crops 1..count, [k].

    Cells have whole rows and columns of the thumbnail; the last ones take what is left over.
    """
    rows, columns = _grid_of_crops(signals, crop, count)
    whole = (crop == 0).nonzero()[:, 0]
    row, column = signals.grid_position[whole, 1:].T
    high, wide = int(row.max()) + 1, int(column.max()) + 1
    cell_row = (row // max(1, high // rows)).clamp(max=rows - 1)
    cell_column = (column // max(1, wide // columns)).clamp(max=columns - 1)
    sums = torch.zeros(count, dtype=torch.float64, device=crop.device)
    return sums.index_add(0, cell_row * columns + cell_column, values[whole].double())


def stretched(signals: Signals, values: Tensor, crop: Tensor, tokens: Tensor) -> Tensor:
    """Read the thumbnail's map where tokens [n] of one view lie: [n].

    values [N]. The map is stretched over the view, all crops together without their padding.
    """
    place = signals.grid_position
    row, column = place[crop == 0, 1:].T
    grid = values.new_zeros(1, 1, int(row.max()) + 1, int(column.max()) + 1)
    grid[0, 0, row, column] = values[crop == 0]
    view = place[place[:, 0] == place[tokens[0], 0], 1:]
    high, wide = (view.amax(0) + 1).tolist()
    over = interpolate(grid, (high, wide), mode="bilinear")[0, 0]
    return over[place[tokens, 1], place[tokens, 2]]


def share_out(sizes: Tensor, shares: Tensor, total: int) -> list[int]:
    """Give each crop int(n_c min(R shares_c, 1)) tokens for the largest R within `total`; [V].

    What is left goes one by one to the largest fractions, the lowest crop first.
    """
    crops = list(zip(sizes.tolist(), shares.double().tolist(), strict=True))

    def wanted(ratio: float) -> list[float]:
        return [size * min(ratio * share, 1.0) for size, share in crops]

    upper = 1 / min(share for _, share in crops)
    found = wanted(largest(lambda ratio: sum(map(int, wanted(ratio))), total, upper))
    counts = [int(tokens) for tokens in found]
    fractions = [tokens - int(tokens) for tokens in found]
    for _ in range(min(total, int(sizes.sum())) - sum(counts)):
        open_ones = [number for number, (size, _) in enumerate(crops) if counts[number] < size]
        lucky = max(open_ones, key=lambda number: (fractions[number], -number))
        counts[lucky] += 1
        fractions[lucky] -= 1
    return counts


def _grid_of_crops(signals: Signals, crop: Tensor, count: int) -> tuple[int, int]:
    """Tell in how many rows and columns crops 1..count lie.

    By the crop that a row of tokens begins with: from one row of crops to the next it grows by the
    number of columns.
    """
    view, row, _ = signals.grid_position[crop > 0].T
    line = view * (row.amax() + 1) + row
    begins = crop.new_full((int(line.amax()) + 1,), count + 1)
    begins = begins.scatter_reduce(0, line, crop[crop > 0], "amin").unique()
    begins = begins[begins <= count]
    columns = int(begins[1] - begins[0]) if len(begins) > 1 else count
    return -(-count // columns), columns


def by_falling_score(signals: Signals, score: Tensor, small: Tensor) -> Tensor:
    """Let these tokens change places with each other until the best comes first; features [N, D].

    small: indices of kept tokens of the thumbnail, ascending. Among equals the first comes first.
    """
    source = torch.arange(signals.count, device=small.device)
    source[small] = small[score[small].argsort(descending=True, stable=True)]
    return signals.features[source]
