"""Visual token <-> patch <-> box on the uploaded picture, for every layout. Pure numpy.

Knows geometry only: no model, no pixels, no importance. A view is one grid of tokens laid over the
picture: the whole of it, or all crops put together, or one frame of a video. The whole picture is
always view 0 and crop 0, wherever its tokens stand. Patches are numbered as the vision tower has
them, crop by crop. Letters: N visual tokens, P patches of a token, n patches of a crop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from explorer.media.grid import Box, Grid, View


def padded_square(width: int, height: int, side: int, seen: float = 1.0) -> Grid:
    """Lay side x side tokens over the picture, padded to a square as picture.pad_to_square does.

    seen: the share of the square's side that the patches cover. A tower whose side is no multiple
    of its patch never looks at the rest (SigLIP 384/14: 378 / 384).
    """
    full = max(width, height)
    left, top = (full - width) // 2, (full - height) // 2
    down = _line(side, height, content=(top / full, (top + height) / full), seen=seen)
    across = _line(side, width, content=(left / full, (left + width) / full), seen=seen)
    block = _block("picture", 0, down, across, _by_rows(side, side))
    return _grid(width, height, [block])


def merged(
    width: int, height: int, rows: int, columns: int, merge: int = 2, by_token: bool = True
) -> Grid:
    """Lay rows x columns tokens over the stretched picture; each stands for merge x merge patches.

    by_token: the tower numbers its patches one token's after the other's (Qwen-VL); otherwise row
    by row over the whole picture (pixel shuffle: SmolVLM, InternVL).
    """
    block = _block(
        "picture",
        0,
        _line(rows, height, merge),
        _line(columns, width, merge),
        _numbering(by_token, rows, columns, merge),
    )
    return _grid(width, height, [block])


def tiled(
    width: int,
    height: int,
    tile_rows: int,
    tile_columns: int,
    side_tokens: int,
    *,
    thumbnail: Literal["first", "last"] | None = None,
    newline: bool = False,
    merge: int = 1,
    seen: float = 1.0,
    content: Box | None = None,
    cut: tuple[int, int] = (0, 0),
    pooled: tuple[int, int] | None = None,
) -> Grid:
    """Lay a canvas of crops over the picture, and perhaps the whole picture as one more crop.

    Each crop has side_tokens x side_tokens tokens of merge x merge patches (numbered in rows).
    thumbnail: whether the whole picture, stretched to one crop, comes before or after the canvas.
    newline: the canvas is read row by row across its crops, with a token that stands for no patch
    behind each row (LLaVA-NeXT, OneVision); otherwise it is read crop by crop (SmolVLM, InternVL).
    seen: the share of a crop's side that its patches cover (SigLIP 384/14: 378 / 384).
    content: x0, y0, x1, y1 of the picture on the canvas, counted in crops; None = all of it.
    cut: rows and columns of tokens taken off at both ends, to get rid of the canvas's padding.
    pooled: rows and columns to which the canvas is then interpolated (OneVision).
    """
    x0, y0, x1, y1 = content or (0, 0, tile_columns, tile_rows)
    down = _cut(_line(side_tokens, height, merge, tile_rows, seen, (y0, y1)), cut[0])
    across = _cut(_line(side_tokens, width, merge, tile_columns, seen, (x0, x1)), cut[1])
    if pooled:
        down, across = _pooled(down, pooled[0]), _pooled(across, pooled[1])
    first, side = int(thumbnail is not None), side_tokens * merge
    numbers = _by_rows(side, side, tile_columns, first)
    canvas = _block("crops", first, down, across, numbers)
    canvas = _with_newlines(canvas) if newline else _crop_by_crop(canvas, side * side)
    if thumbnail is None:
        return _grid(width, height, [canvas])
    whole = _whole(width, height, side_tokens, merge, seen)
    if thumbnail == "first":
        return _grid(width, height, [whole, canvas])
    behind = _grid(width, height, [canvas, whole])
    return replace(behind, views=behind.views[::-1])


def whole_alone(width: int, height: int, side_tokens: int, seen: float = 1.0) -> Grid:
    """Lay side_tokens x side_tokens tokens over the picture, stretched to a square.

    Behind them stands one token without a patch (LLaVA-NeXT, OneVision without crops). seen: as in
    `tiled`.
    """
    return _grid(width, height, [_whole(width, height, side_tokens, 1, seen)], newline=True)


def frames(
    width: int,
    height: int,
    count: int,
    rows: int,
    columns: int,
    newline_at_end: bool = False,
    *,
    merge: int = 1,
    by_token: bool = False,
    seen: float = 1.0,
    pooled: tuple[int, int] | None = None,
) -> Grid:
    """Lay rows x columns tokens over each of `count` frames of a video, stretched to the tower.

    newline_at_end: one token without a patch behind the last frame (OneVision).
    merge, by_token: as in `merged`; seen, pooled: as in `tiled`.
    A model that reads frames in pairs (Qwen-VL) has one view per pair.
    """
    down, across = _line(rows, height, merge, seen=seen), _line(columns, width, merge, seen=seen)
    if pooled:
        down, across = _pooled(down, pooled[0]), _pooled(across, pooled[1])
    n = rows * columns * merge**2
    blocks = [
        _block(f"frame {t + 1}", t, down, across, _numbering(by_token, rows, columns, merge, t * n))
        for t in range(count)
    ]
    return _grid(width, height, blocks, newline_at_end)


# A line is what the tokens along one side of a view have in common: edges [R, 2] in pixels of the
# picture, and the rows (or columns) of patches [R, m] that they stand for, -1 for none.
_Line = tuple[np.ndarray, np.ndarray]
# The patch at a row and a column of all crops put together.
_Numbers = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _line(
    tokens: int,
    length: float,
    merge: int = 1,
    tiles: int = 1,
    seen: float = 1.0,
    content: tuple[float, float] | None = None,
) -> _Line:
    """Line up the tokens of some tiles; the picture lies from content[0] to content[1] tiles."""
    start, end = content or (0, tiles)
    number = np.arange(tiles * tokens)
    inside = np.stack([number % tokens, number % tokens + 1], 1) * seen
    edges = inside + (number // tokens * tokens)[:, None] - start * tokens
    return edges * length / (tokens * (end - start)), number[:, None] * merge + np.arange(merge)


def _cut(line: _Line, off: int) -> _Line:
    keep = slice(off, len(line[0]) - off)
    return line[0][keep], line[1][keep]


def _pooled(line: _Line, count: int) -> _Line:
    """Interpolate to fewer tokens, linearly and without smoothing: each reads two neighbours."""
    edges, patches = line
    at = np.maximum((np.arange(count) + 0.5) * len(edges) / count - 0.5, 0)
    low = np.floor(at).astype(int)
    high = np.minimum(np.ceil(at).astype(int), len(edges) - 1)
    second = np.where((high > low)[:, None], patches[high], -1)
    return np.stack([edges[low, 0], edges[high, 1]], 1), np.hstack([patches[low], second])


def _by_rows(rows: int, columns: int, crops_across: int = 1, first: int = 0) -> _Numbers:
    """Number the patches crop by crop, the first crop being number `first`, row by row in each."""

    def number(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        crop = first + row // rows * crops_across + column // columns
        return (crop * rows + row % rows) * columns + column % columns

    return number


def _numbering(by_token: bool, rows: int, columns: int, merge: int, first: int = 0) -> _Numbers:
    """Number the patches of one crop from `first` on, token by token or row by row."""

    def token_by_token(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        token = row // merge * columns + column // merge
        return first + (token * merge + row % merge) * merge + column % merge

    if by_token:
        return token_by_token
    plain = _by_rows(rows * merge, columns * merge)
    return lambda row, column: first + plain(row, column)


# The tokens of one view and their table [R, C, 7 + P]: place, box, patches; NaN for nothing.
_Block = tuple[View, np.ndarray]


def _block(name: str, view: int, down: _Line, across: _Line, number: _Numbers) -> _Block:
    """Cross a line of rows with a line of columns."""
    (y, patch_rows), (x, patch_columns) = down, across
    shape = len(y), len(x)
    place = [np.full(shape, view), *np.indices(shape)]
    corners = [np.meshgrid(y[:, end], x[:, end], indexing="ij")[::-1] for end in (0, 1)]
    row, column = np.broadcast_arrays(patch_rows[:, None, :, None], patch_columns[None, :, None])
    patches = np.where((row >= 0) & (column >= 0), number(row, column), np.nan)
    table = [np.stack([*place, *corners[0], *corners[1]], -1), patches.reshape(*shape, -1)]
    box = (float(x[0, 0]), float(y[0, 0]), float(x[-1, 1]), float(y[-1, 1]))
    return View(name, *shape, box), np.concatenate(table, -1)


def _whole(width: int, height: int, side_tokens: int, merge: int, seen: float) -> _Block:
    """Stretch the whole picture to one crop, the first."""
    down, across = (_line(side_tokens, length, merge, seen=seen) for length in (height, width))
    return _block("whole picture", 0, down, across, _by_rows(*[side_tokens * merge] * 2))


def _with_newlines(block: _Block) -> _Block:
    """Put a token without a patch behind every row."""
    view, table = block
    return view, np.pad(table, ((0, 0), (0, 1), (0, 0)), constant_values=np.nan)


def _crop_by_crop(block: _Block, n: int) -> _Block:
    """Read the tokens in the order of their crops instead of row by row across them."""
    view, table = block
    flat = table.reshape(-1, table.shape[-1])
    return view, flat[np.argsort(flat[:, 7] // n, kind="stable")]


def _grid(width: int, height: int, blocks: list[_Block], newline: bool = False) -> Grid:
    """Put the views behind each other, and perhaps one token without a patch at the end."""
    tables = [table.reshape(-1, table.shape[-1]) for _, table in blocks]
    if newline:
        tables.append(np.full((1, 8), np.nan))
    most = max(table.shape[1] for table in tables)
    padded = [
        np.pad(table, ((0, 0), (0, most - table.shape[1])), constant_values=np.nan)
        for table in tables
    ]
    place, boxes, patches = np.split(np.concatenate(padded), [3, 7], axis=1)
    return Grid(
        width,
        height,
        tuple(view for view, _ in blocks),
        np.nan_to_num(place, nan=-1).astype(np.int16),
        boxes.astype(np.float32),
        np.nan_to_num(patches, nan=-1).astype(np.int32),
    )
