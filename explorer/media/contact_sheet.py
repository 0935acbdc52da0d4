"""A contact sheet: the frames of a video on one picture, for models that read a single one.

Frames end where tokens end, so that every token shows one frame only. Pure geometry and pixels:
knows no model, and not what is asked. Letters: F frames, S tokens along a side of the sheet, T
along a side of a frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from explorer.media.grid import Grid, View
from explorer.media.image import pad_to_square

PATCH = 16  # pixels of a token on the sheet; the model's processor scales as it needs

Color = tuple[int, int, int]


@dataclass(frozen=True)
class ContactSheet:
    """Where `count` frames lie on a sheet of S x S tokens: row by row, T x T tokens each.

    Cells that no frame is left for stay empty, but are part of the sheet; the gaps that are left
    where S is no multiple of T are not.
    """

    count: int
    side: int

    @property
    def columns(self) -> int:
        """Frames in a row."""
        return math.ceil(math.sqrt(self.count))

    @property
    def rows(self) -> int:
        """Rows of frames."""
        return math.ceil(self.count / self.columns)

    @property
    def tokens(self) -> int:
        """T, tokens along a side of a frame."""
        return self.side // self.columns

    def starts(self, cells: int) -> list[int]:
        """Give the first token of each of `cells` cells along a side, centred on the sheet."""
        step = (self.side - self.tokens) / max(1, self.columns - 1)
        starts = [round(cell * step) for cell in range(cells)]
        return [start + (self.side - starts[-1] - self.tokens) // 2 for start in starts]

    def lines(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the rows and the columns of tokens that belong to cells, without the gaps."""
        within = np.arange(self.tokens)
        return tuple(
            np.concatenate([start + within for start in self.starts(cells)])
            for cells in (self.rows, self.columns)
        )

    def draw(self, frames: Sequence[Image.Image], colour: Color) -> Image.Image:
        """Draw the frames, padded to squares, on a sheet of one colour."""
        sheet = Image.new("RGB", (self.side * PATCH,) * 2, colour)
        cell = self.tokens * PATCH
        for number, frame in enumerate(frames):
            row, column = divmod(number, self.columns)
            small = pad_to_square(frame, colour).resize((cell, cell), Image.Resampling.LANCZOS)
            place = self.starts(self.columns)[column], self.starts(self.rows)[row]
            sheet.paste(small, tuple(PATCH * token for token in place))
        return sheet

    def grid(self, whole: Grid) -> Grid:
        """Leave out the gaps from a sheet's grid of S x S tokens; the rest is one view again."""
        down, across = self.lines()
        kept = (down[:, None] * self.side + across).reshape(-1)
        place = np.stack([np.zeros(len(kept)), *np.indices((len(down), len(across)))
                          .reshape(2, -1)], 1)  # fmt: skip
        view = View("contact sheet", len(down), len(across), whole.views[0].box)
        return Grid(
            whole.width,
            whole.height,
            (view,),
            place.astype(np.int16),
            whole.boxes[kept],
            whole.patches[kept],
        )

    def frame_places(self, grid: Grid) -> np.ndarray:
        """Give frame, row and column of every token of `grid`, [N, 3]; -1 in an empty cell."""
        row, column = grid.place[:, 1].astype(int), grid.place[:, 2].astype(int)
        frame = row // self.tokens * self.columns + column // self.tokens
        places = np.stack([frame, row % self.tokens, column % self.tokens], 1)
        places[frame >= self.count] = -1
        return places.astype(np.int16)
