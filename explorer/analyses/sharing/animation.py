"""Tokens leaving a picture layer by layer, as a GIF or an MP4 for slides.

Drawn from what an answer says of its stages: one picture per decoder layer, with a few between two
of them where tokens leave. Knows answers, grids and pixels; runs no model.
Letters: N visual tokens, L decoder layers.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from explorer import ROOT
from explorer.cases.records import Answer
from explorer.media.grid import Grid, View

TYPES = {"gif": "image/gif", "mp4": "video/mp4"}
SIDE = 448  # pixels of the longer side of the picture; even, as films have to be
LINE = 40  # pixels under it for the words
FADES = 4  # pictures in which the tokens of a stage leave
HOLD, FADE = 0.6, 0.12  # seconds that a layer is shown, and a picture between two of them
LAST = 2.4  # seconds of the last one, before it begins again
FRAMES_PER_SECOND = 25
COLOURS = 96  # of a GIF's frame
DARK, GONE = np.array([9.0, 9.0, 11.0]), 0.8  # what dropped patches become, and how far
FONT = ROOT / "assets" / "fonts" / "DejaVuSans.ttf"


@dataclass(frozen=True)
class Moment:
    """One picture of the animation. words: under it; dropped [N]: how far gone, 0 to 1."""

    words: str
    dropped: np.ndarray
    seconds: float


def moments(answer: Answer, tokens: int) -> Iterator[Moment]:
    """Tell layer by layer which visual tokens are there. tokens: N.

    A token that is merged into another one has left its place as well as one that is dropped.
    """
    layers, gone = len(answer.layers), np.zeros(tokens)
    yield Moment(f"The picture: {tokens} visual tokens", gone, HOLD)
    for layer in range(layers):
        before = gone
        for stage in answer.stages:
            if stage.layer == layer:
                gone = (stage.fate != 0).astype(np.float64)
        alive = answer.layers[layer]
        words = f"Layer {layer + 1} of {layers}: {alive} of {tokens} visual tokens"
        if (gone != before).any():
            for step in range(1, FADES + 1):
                yield Moment(words, before + (gone - before) * step / (FADES + 1), FADE)
        yield Moment(words, gone, LAST if layer == layers - 1 else HOLD)


def frames(answer: Answer, grid: Grid, image: Image.Image) -> Iterator[tuple[Image.Image, float]]:
    """Draw the moments over the first view of the picture: (picture, seconds)."""
    view = grid.views[0]
    base = _cut(image, view)
    for moment in moments(answer, grid.count):
        yield _drawn(base, _cells(grid, moment.dropped), moment.words), moment.seconds


def _cut(image: Image.Image, view: View) -> np.ndarray:
    """Cut out what a view shows, float [height, width, 3]; outside the picture it is grey."""
    x0, y0, x1, y1 = view.box
    scale = SIDE / max(x1 - x0, y1 - y0)
    size = [2 * max(1, round(scale * length / 2)) for length in (x1 - x0, y1 - y0)]
    cut = Image.new("RGB", (max(1, round(x1 - x0)), max(1, round(y1 - y0))), (128, 128, 128))
    cut.paste(image.convert("RGB"), (round(-x0), round(-y0)))
    return np.asarray(cut.resize(size, Image.Resampling.LANCZOS), dtype=np.float64)


def _cells(grid: Grid, dropped: np.ndarray) -> np.ndarray:
    """Lay a value per token out on the cells of the first view, [rows, columns]; 0 without one."""
    view = grid.views[0]
    cells = np.zeros((view.rows, view.columns))
    mine = grid.place[:, 0] == 0
    cells[grid.place[mine, 1], grid.place[mine, 2]] = dropped[mine]
    return cells


def _drawn(base: np.ndarray, cells: np.ndarray, words: str) -> Image.Image:
    height, width, _ = base.shape
    rows = np.arange(height) * cells.shape[0] // height
    columns = np.arange(width) * cells.shape[1] // width
    gone = GONE * cells[rows][:, columns, None]
    hatch = (np.add.outer(np.arange(height), np.arange(width)) % 9 == 0)[..., None]
    pixels = base * (1 - gone) + (DARK + 46 * hatch) * gone
    whole = Image.new("RGB", (width, height + LINE), "white")
    whole.paste(Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)), (0, 0))
    pen, font = ImageDraw.Draw(whole), ImageFont.truetype(str(FONT), 17)
    pen.text((8, height + LINE // 2), words, fill=(24, 24, 27), font=font, anchor="lm")
    return whole


def animate(answer: Answer, grid: Grid, image: Image.Image, kind: str) -> bytes:
    """Give the file of an animation. answer: with its stages; grid, image: of its picture.

    kind: "gif", which begins again and again, or "mp4".
    """
    drawn = list(frames(answer, grid, image))
    return _gif(drawn) if kind == "gif" else _mp4(drawn)


def _gif(drawn: list[tuple[Image.Image, float]]) -> bytes:
    pictures = [picture.quantize(COLOURS, dither=Image.Dither.NONE) for picture, _ in drawn]
    file = io.BytesIO()
    durations = [round(1000 * seconds) for _, seconds in drawn]
    first, *others = pictures
    first.save(file, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return file.getvalue()


def _mp4(drawn: list[tuple[Image.Image, float]]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokens.mp4"
        code = cv2.VideoWriter.fourcc(*"mp4v")
        film = cv2.VideoWriter(str(path), code, FRAMES_PER_SECOND, drawn[0][0].size)
        for picture, seconds in drawn:
            frame = cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR)
            for _ in range(round(seconds * FRAMES_PER_SECOND)):
                film.write(frame)
        film.release()
        return path.read_bytes()
