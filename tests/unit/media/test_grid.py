"""Where each visual token lies on the uploaded picture, for every layout."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from explorer.media.grid import Grid
from explorer.media.layouts import frames, merged, padded_square, tiled
from explorer.methods.signals import Signals


def llava_next(width, height, canvas, scaled, cut) -> Grid:
    """A LLaVA-NeXT layout: canvas and scaled picture as (width, height) in pixels of the model."""
    left, top = (canvas[0] - scaled[0]) // 2, (canvas[1] - scaled[1]) // 2
    content = (left / 336, top / 336, (left + scaled[0]) / 336, (top + scaled[1]) / 336)
    rows, columns = canvas[1] // 336, canvas[0] // 336
    return tiled(
        width,
        height,
        rows,
        columns,
        24,
        thumbnail="first",
        newline=True,
        content=content,
        cut=cut,
    )


def assert_covers(boxes: np.ndarray, x0, y0, x1, y1) -> None:
    """The boxes fill the rectangle without a gap and without lying on each other."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert (area > 0).all() and np.isclose(area.sum(), (x1 - x0) * (y1 - y0), rtol=1e-5)
    assert np.allclose(boxes.min(0)[:2], (x0, y0), atol=1e-3)
    assert np.allclose(boxes.max(0)[2:], (x1, y1), atol=1e-3)
    xs, ys = np.unique(boxes[:, [0, 2]]), np.unique(boxes[:, [1, 3]])
    assert (len(xs) - 1) * (len(ys) - 1) == len(boxes)  # neighbours share their edges exactly
    assert len(np.unique(boxes[:, :2], axis=0)) == len(boxes)


def assert_sound(grid: Grid) -> None:
    """What holds for every layout."""
    n = grid.count
    assert (grid.place.shape, grid.boxes.shape, len(grid.patches)) == ((n, 3), (n, 4), n)
    assert (grid.place.dtype, grid.boxes.dtype) == (np.int16, np.float32)
    assert grid.patches.dtype == np.int32
    newline = grid.place[:, 0] < 0
    assert (grid.place[newline] == -1).all() and (grid.patches[newline] == -1).all()
    assert np.isnan(grid.boxes[newline]).all() and not np.isnan(grid.boxes[~newline]).any()
    assert (grid.patches[~newline] >= 0).any(1).all() and not grid.padding[newline].any()
    places = grid.place[~newline]
    assert len(np.unique(places, axis=0)) == len(places)
    cells = sum(view.rows * view.columns for view in grid.views)
    assert len(places) == cells  # every view is a full grid
    for view, row, column in places[:: max(1, len(places) // 50)]:
        assert row < grid.views[view].rows and column < grid.views[view].columns
    for number, view in enumerate(grid.views):
        boxes = grid.boxes[grid.place[:, 0] == number]
        assert np.allclose([*boxes.min(0)[:2], *boxes.max(0)[2:]], view.box, atol=1e-3)


# One view


def test_a_square_picture_is_its_own_square():
    grid = padded_square(336, 336, 24)
    assert_sound(grid)
    assert (grid.count, grid.columns, grid.padding.sum()) == (576, 24, 0)
    assert grid.boxes[25].tolist() == [14, 14, 28, 28]
    assert grid.place[25].tolist() == [0, 1, 1] and grid.patches[25].tolist() == [25]
    assert_covers(grid.boxes, 0, 0, 336, 336)


def test_a_wide_picture_has_padding_above_and_below():
    grid = padded_square(900, 300, 24)
    assert grid.views[0].box == pytest.approx((0, -300, 900, 600))
    assert_covers(grid.boxes, 0, -300, 900, 600)
    assert grid.padding.reshape(24, 24).all(1).tolist() == [True] * 8 + [False] * 8 + [True] * 8
    assert_covers(grid.boxes[~grid.padding], 0, 0, 900, 300)


def test_a_tall_picture_with_an_odd_rest_is_offset_by_whole_pixels():
    grid = padded_square(300, 401, 7)
    assert grid.views[0].box == pytest.approx((-50, 0, 351, 401))
    assert_covers(grid.boxes, -50, 0, 351, 401)


def test_padding_is_exact_for_every_size():
    """A box that ends at the picture's edge is padding, whatever the rounding."""
    side = 24
    for width in range(100, 900, 7):
        grid = padded_square(width, 300, side)
        square = max(width, 300)
        left, top = (square - width) // 2, (square - 300) // 2
        ends = [Fraction((cell + 1) * square, side) for cell in range(side)]
        starts = [Fraction(cell * square, side) for cell in range(side)]

        def outside(offset, length, starts=starts, ends=ends):
            return np.array(
                [e <= offset or s >= offset + length for s, e in zip(starts, ends, strict=True)]
            )

        expected = outside(top, 300)[:, None] | outside(left, width)[None]
        assert np.array_equal(grid.padding.reshape(side, side), expected)


@pytest.mark.parametrize(
    ("width", "height", "rows", "columns", "count"),
    [(336, 336, 12, 12, 144), (900, 300, 11, 32, 352), (700, 840, 30, 25, 750)],
)
def test_qwen_merges_two_by_two_token_by_token(width, height, rows, columns, count):
    grid = merged(width, height, rows, columns)
    assert_sound(grid)
    assert grid.count == count
    assert_covers(grid.boxes, 0, 0, width, height)
    assert np.array_equal(grid.patches, np.arange(4 * count).reshape(count, 4))


def test_pixel_shuffle_merges_patches_that_are_numbered_row_by_row():
    grid = merged(64, 64, 2, 3, merge=2, by_token=False)
    numbers = np.arange(4 * 6).reshape(4, 6)
    for token, (_, row, column) in enumerate(grid.place):
        block = numbers[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert grid.patches[token].tolist() == block.ravel().tolist()


# Tiles


def test_smolvlm_goes_tile_by_tile_and_ends_with_the_whole():
    grid = tiled(900, 300, 2, 4, 8, thumbnail="last", merge=4)
    assert_sound(grid)
    assert grid.count == (8 + 1) * 64 == 576
    assert [(view.name, view.rows, view.columns) for view in grid.views] == [
        ("whole picture", 8, 8),
        ("crops", 16, 32),
    ]
    assert_covers(grid.boxes[:512], 0, 0, 900, 300)
    assert_covers(grid.boxes[512:], 0, 0, 900, 300)
    sixth = grid.boxes[5 * 64 : 6 * 64]  # the second of the lower row
    assert_covers(sixth, 225, 150, 450, 300)
    assert grid.place[5 * 64].tolist() == [1, 8, 8] and grid.place[-1].tolist() == [0, 7, 7]
    crops = [*range(1, 9), 0]  # the whole picture is crop 0, although it stands last
    assert np.array_equal(grid.patches // 1024, np.repeat(crops, 64)[:, None] + np.zeros(16))
    assert np.array_equal(np.sort(grid.patches.ravel()), np.arange(9 * 32 * 32))
    assert grid.patches[64 + 9].tolist() == [
        2 * 1024 + 32 * row + column for row in range(4, 8) for column in range(4, 8)
    ]


def test_internvl_needs_no_thumbnail_for_one_tile():
    grid = tiled(336, 336, 1, 1, 16, merge=2)
    assert_sound(grid)
    assert (grid.count, len(grid.views)) == (256, 1)
    assert np.array_equal(grid.patches, merged(336, 336, 16, 16, by_token=False).patches)
    assert tiled(900, 300, 1, 3, 16, thumbnail="last", merge=2).count == 1024


def test_a_tile_may_end_before_its_last_pixels():
    """Patches of 14 reach 378 of 384 pixels: SmolVLM2-2.2B and OneVision leave gaps."""
    grid = tiled(768, 768, 2, 2, 9, thumbnail="last", merge=3, seen=378 / 384)
    assert grid.count == 5 * 81
    assert np.allclose(grid.boxes[80], [336, 336, 378, 378])
    assert np.allclose(grid.boxes[81], [384, 0, 426, 42])
    assert np.allclose(grid.boxes[-1, 2:], [756, 756])


@pytest.mark.parametrize(
    ("size", "canvas", "scaled", "cut", "rows", "columns"),
    [
        ((700, 840), (672, 672), (560, 672), (0, 4), 48, 40),
        ((336, 336), (672, 336), (336, 336), (0, 12), 24, 24),
        ((400, 900), (336, 1008), (336, 756), (9, 0), 54, 24),
        ((900, 300), (1008, 336), (1008, 336), (0, 0), 24, 72),
    ],
)
def test_llava_next_goes_row_by_row_over_the_tiles(size, canvas, scaled, cut, rows, columns):
    grid = llava_next(*size, canvas, scaled, cut)
    assert_sound(grid)
    assert grid.count == 576 + rows * columns + rows
    assert grid.views[0].name == "whole picture" and (grid.place[:576, 0] == 0).all()
    assert_covers(grid.boxes[:576], 0, 0, *size)
    lines = grid.boxes[576:].reshape(rows, columns + 1, 4)
    assert np.isnan(lines[:, -1]).all()
    assert_covers(lines[:, :-1].reshape(-1, 4), 0, 0, *size)
    assert not grid.padding.any()
    assert (np.diff(lines[:, 0, 1]) > 0).all() and (np.diff(lines[:, :-1, 0]) > 0).all()


def test_the_newlines_of_700x840_make_2544_tokens():
    grid = llava_next(700, 840, (672, 672), (560, 672), (0, 4))
    assert grid.count == 576 + 48 * 40 + 48 == 2544
    assert np.flatnonzero(grid.place[:, 0] < 0)[:2].tolist() == [576 + 40, 576 + 81]


def test_llava_next_numbers_patches_in_the_order_the_tower_sees_its_views():
    """The small picture lies across two tiles: columns 12..23 of the first, 0..11 of the second."""
    grid = llava_next(336, 336, (672, 336), (336, 336), (0, 12))
    assert grid.count == 1176
    assert grid.place[576].tolist() == [1, 0, 0] and grid.patches[576].tolist() == [576 + 12]
    assert grid.place[588].tolist() == [1, 0, 12] and grid.patches[588].tolist() == [2 * 576]
    assert np.array_equal(grid.patches[:576, 0], np.arange(576))
    assert sorted(grid.patches[grid.place[:, 0] == 1, 0]) == [
        576 * tile + 24 * row + column
        for tile, columns in ((1, range(12, 24)), (2, range(12)))
        for row in range(24)
        for column in columns
    ]


def test_padding_of_a_canvas_that_is_not_cut_off():
    grid = tiled(100, 50, 2, 2, 4, newline=True, content=(0, 0.5, 2, 1.5))
    assert (
        grid.padding.reshape(8, 9)[:, :-1].all(1).tolist() == [True] * 2 + [False] * 4 + [True] * 2
    )


def test_pooled_tokens_stand_for_the_cells_that_the_interpolation_reads():
    """Where torch's own bilinear interpolation takes its values from."""
    grid = tiled(100, 60, 2, 3, 5, thumbnail="first", newline=True, cut=(1, 0), pooled=(5, 9))
    assert_sound(grid)
    assert grid.count == 25 + 5 * 9 + 5
    cells = torch.eye(8 * 15).reshape(1, 120, 8, 15).transpose(0, 1)  # one cell lit at a time
    weight = torch.nn.functional.interpolate(cells, size=(5, 9), mode="bilinear")
    weight = weight.reshape(8, 15, 45)
    tokens = np.flatnonzero(grid.place[25:, 0] >= 0) + 25
    for number, token in enumerate(tokens):
        read = {
            25 * (1 + (row + 1) // 5 * 3 + column // 5) + (row + 1) % 5 * 5 + column % 5
            for row, column in (weight[:, :, number] > 1e-6).nonzero().tolist()
        }
        assert {patch for patch in grid.patches[token].tolist() if patch >= 0} == read
        row, column = (weight[:, :, number] > 1e-6).nonzero().T
        box = (column.min(), row.min() + 1, column.max() + 1, row.max() + 2)
        assert np.allclose(grid.boxes[token], np.multiply(box, [100 / 15, 6, 100 / 15, 6]))


# Video


def test_onevision_video_has_196_tokens_a_frame_and_one_newline():
    grid = frames(640, 480, 3, 27, 27, newline_at_end=True, pooled=(14, 14), seen=378 / 384)
    assert_sound(grid)
    assert grid.count == 196 * 3 + 1
    assert (grid.place[-1] == -1).all() and (grid.place[:-1] >= 0).all()
    assert np.array_equal(grid.place[:-1, 0], np.repeat(np.arange(3), 196))
    assert np.array_equal(grid.boxes[:196], grid.boxes[196:392])
    assert np.allclose(np.nanmax(grid.boxes, 0)[2:], [640 * 378 / 384, 480 * 378 / 384])
    assert (grid.patches[196:392].max(), grid.patches[392:588].min()) == (2 * 729 - 1, 2 * 729)


def test_frames_of_qwen_are_merged_token_by_token():
    grid = frames(640, 480, 2, 6, 8, merge=2, by_token=True)
    assert_sound(grid)
    assert grid.count == 96 and grid.views[1].name == "frame 2"
    assert np.array_equal(grid.patches, np.arange(4 * 96).reshape(96, 4))
    assert_covers(grid.boxes[48:], 0, 0, 640, 480)


# Together with the signals


@pytest.mark.parametrize(
    ("grid", "inputs", "n"),
    [
        (padded_square(90, 30, 6), 1, 36),
        (merged(90, 30, 3, 4), 1, 48),
        (tiled(90, 30, 1, 2, 3, thumbnail="first", newline=True, cut=(0, 1)), 3, 9),
        (tiled(90, 30, 2, 2, 3, thumbnail="last", merge=2), 5, 36),
        (frames(90, 30, 2, 5, 5, newline_at_end=True, pooled=(3, 3)), 2, 25),
    ],
    ids=["square", "merged", "rows of tiles", "tiles", "frames"],
)
def test_signals_average_the_patches_of_each_token(grid, inputs, n):
    """Values of `inputs` views of n patches each, as the tower gives them."""
    values = torch.rand(inputs, n)
    signals = Signals(
        grid_position=torch.from_numpy(grid.place.astype("int64")),
        features=torch.zeros(grid.count, 2),
        patches=torch.from_numpy(grid.patches.astype("int64")),
    )
    got = signals.per_token(values)
    for token, patches in enumerate(grid.patches):
        real = [divmod(patch, n) for patch in patches.tolist() if patch >= 0]
        mean = sum(values[at] for at in real) / len(real) if real else values.min()
        assert torch.isclose(got[token], torch.as_tensor(mean), atol=1e-6)
