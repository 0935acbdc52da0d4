"""Contact sheets: every token shows one frame, and every frame has a square of tokens."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from explorer.media.contact_sheet import PATCH, ContactSheet
from explorer.media.layouts import padded_square

COUNTS = range(2, 17)
GREY = (128, 128, 128)


@pytest.mark.parametrize("side", [14, 24])
@pytest.mark.parametrize("count", COUNTS)
def test_every_frame_has_a_square_of_tokens_of_its_own(count, side):
    sheet = ContactSheet(count, side)
    grid = sheet.grid(padded_square(side * PATCH, side * PATCH, side))
    places = sheet.frame_places(grid)
    assert grid.count == sheet.rows * sheet.columns * sheet.tokens**2
    for frame in range(count):
        cells = places[places[:, 0] == frame, 1:].tolist()
        assert sorted(cells) == [[r, c] for r in range(sheet.tokens) for c in range(sheet.tokens)]
    assert (places[:, 0] < count).all()


@pytest.mark.parametrize("count", COUNTS)
def test_a_token_shows_its_frame_and_nothing_else(count):
    sheet = ContactSheet(count, 14)
    frames = [Image.new("RGB", (50, 50), (10 * (n + 1), 0, 200)) for n in range(count)]
    pixels = np.asarray(sheet.draw(frames, GREY))
    grid = sheet.grid(padded_square(14 * PATCH, 14 * PATCH, 14))
    places = sheet.frame_places(grid)
    for (frame, *_), box in zip(places, grid.boxes.astype(int), strict=True):
        x0, y0, x1, y1 = box
        seen = np.unique(pixels[y0:y1, x0:x1].reshape(-1, 3), axis=0)
        wanted = [10 * (frame + 1), 0, 200] if frame >= 0 else list(GREY)
        assert seen.tolist() == [wanted]


def test_four_frames_fill_a_sheet_of_14_and_nine_leave_gaps():
    assert (ContactSheet(4, 14).tokens, ContactSheet(4, 14).starts(2)) == (7, [0, 7])
    assert (ContactSheet(9, 14).tokens, ContactSheet(9, 14).starts(3)) == (4, [0, 5, 10])


def test_a_wide_frame_is_padded_and_not_stretched():
    pixels = np.asarray(ContactSheet(4, 14).draw([Image.new("RGB", (80, 40), "red")] * 4, GREY))
    assert pixels[0, 50].tolist() == list(GREY) and pixels[56, 50].tolist() == [255, 0, 0]
