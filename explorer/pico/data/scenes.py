"""Synthetic scenes: icons, coloured shapes and signs on a 3x3 grid, drawn from a seed.

The same seed gives the same scene on every machine: only the icons and fonts in assets are used,
and every draw comes from one seeded generator. Knows nothing of questions or models.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from explorer import ROOT
from explorer.pico.data.icons import Icons, load
from explorer.pico.data.vocabulary import COLORS, OBJECTS, SHAPES, SIGN_WORDS

SIDE = 224  # pixels of a picture
CELL = SIDE / 3  # a picture has 3x3 cells; a cell holds one thing at most
FONTS = ROOT / "assets" / "fonts"
THING_COUNTS = (1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7)
SIGN_SHARE = 0.2  # of the things
OBJECT_SHARE = 0.825  # of those that are no signs; the rest are shapes
OUTLINE = (90, 90, 90)

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Thing:
    """One thing of a scene.

    kind: "object", "shape" or "word" (a sign); name: "owl", "circle", or the sign's word;
    color: of a shape, else None; cell: 0..8 row by row; box: x0, y0, x1, y1 in pixels.
    """

    kind: str
    name: str
    color: str | None
    cell: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Scene:
    """A picture (224x224 RGB), the things on it in drawing order, and the seed that gave both."""

    image: Image.Image
    things: tuple[Thing, ...]
    seed: int


@dataclass(frozen=True)
class _Cast:
    """What the objects of one scene are taken from."""

    styles: tuple[Icons, ...]
    repeated: str | None  # a name that is likely to come several times
    signs: float  # their share of all things


def shipped_fonts() -> tuple[Path, ...]:
    """List the font files that come with the project."""
    return tuple(sorted(FONTS.glob("*.ttf")))


def make(
    seed: int,
    icons: Sequence[Icons] | None = None,
    dense: bool = False,
    fonts: Sequence[Path] | None = None,
    signs: float = SIGN_SHARE,
) -> Scene:
    """Draw the scene of a seed.

    icons: drawing styles to choose from, default the shipped one; dense: 2 to 9 things, without
    repetitions; fonts: files that signs are written with, default the shipped ones; signs: their
    share of all things.
    """
    rng = random.Random(seed)
    styles = tuple(icons) if icons is not None else (load(),)
    fonts = tuple(fonts) if fonts is not None else shipped_fonts()
    image = _background(rng)
    cells = list(range(9))
    rng.shuffle(cells)
    count = rng.randint(2, 9) if dense else rng.choice(THING_COUNTS)
    if rng.random() < 0.5:
        styles = (rng.choice(styles),)
    repeated = rng.choice(OBJECTS) if not dense and rng.random() < 0.35 else None
    cast = _Cast(styles, repeated, signs)
    things = tuple(_add_thing(image, rng, cell, cast, fonts) for cell in cells[:count])
    return Scene(_weathered(image, rng), things, seed)


def _add_thing(
    image: Image.Image, rng: random.Random, cell: int, cast: _Cast, fonts: Sequence[Path]
) -> Thing:
    """Draw one random thing into a cell: mostly objects, some shapes, some signs."""
    draw, others = rng.random(), 1 - cast.signs
    if draw < OBJECT_SHARE * others or (cast.repeated and draw < 0.86):
        return _add_object(image, rng, cell, cast)
    if draw < others:
        return _add_shape(image, rng, cell)
    return _add_sign(image, rng, cell, fonts)


def _spot(rng: random.Random, cell: int) -> tuple[int, int, int]:
    """Choose left, top and side of a square inside a cell."""
    row, column = divmod(cell, 3)
    side = rng.randint(int(CELL * 0.5), int(CELL))
    left = int(column * CELL + rng.uniform(0, CELL - side))
    top = int(row * CELL + rng.uniform(0, CELL - side))
    return left, top, side


def _add_object(image: Image.Image, rng: random.Random, cell: int, cast: _Cast) -> Thing:
    left, top, side = _spot(rng, cell)
    name = cast.repeated if cast.repeated and rng.random() < 0.6 else rng.choice(OBJECTS)
    icon = rng.choice(cast.styles)[name]
    scale = side / max(icon.size)
    size = (max(1, int(icon.width * scale)), max(1, int(icon.height * scale)))
    icon = icon.resize(size, Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        icon = icon.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.7:
        icon = icon.rotate(rng.uniform(-20, 20), resample=Image.Resampling.BILINEAR)
    left += (side - icon.width) // 2
    top += (side - icon.height) // 2
    image.paste(icon, (left, top), icon)
    return Thing("object", name, None, cell, (left, top, left + icon.width, top + icon.height))


def _add_shape(image: Image.Image, rng: random.Random, cell: int) -> Thing:
    left, top, side = _spot(rng, cell)
    shape, color = rng.choice(SHAPES), rng.choice(list(COLORS))
    side = int(side * 0.85)
    box = (left, top, left + side, top + side)
    fill = tuple(min(255, max(0, int(value + rng.gauss(0, 8)))) for value in COLORS[color])
    pen = ImageDraw.Draw(image)
    if shape == "circle":
        pen.ellipse(box, fill=fill, outline=OUTLINE)
    elif shape == "square":
        pen.rectangle(box, fill=fill, outline=OUTLINE)
    else:
        corners = [(left + side // 2, top), (left, top + side), (left + side, top + side)]
        pen.polygon(corners, fill=fill, outline=OUTLINE)
    return Thing("shape", shape, color, cell, box)


def _add_sign(image: Image.Image, rng: random.Random, cell: int, fonts: Sequence[Path]) -> Thing:
    row, column = divmod(cell, 3)
    word = rng.choice(SIGN_WORDS)
    text = word.upper() if rng.random() < 0.5 else word
    file, size = rng.choice(fonts), rng.randint(17, 30)
    pen = ImageDraw.Draw(image)
    x0, y0, x1, y1 = pen.textbbox((0, 0), text, font=_font(file, size))
    while x1 - x0 > CELL - 8:
        size -= 2
        x0, y0, x1, y1 = pen.textbbox((0, 0), text, font=_font(file, size))
    width, height = int(x1 - x0), int(y1 - y0)
    left = int(column * CELL + 4 + rng.uniform(0, max(0, CELL - width - 9)))
    top = int(row * CELL + 6 + rng.uniform(0, CELL - height - 14))
    bright_board = rng.random() < 0.6
    board = _random_color(rng, 200, 255) if bright_board else _random_color(rng, 0, 90)
    ink = _random_color(rng, 0, 60) if bright_board else _random_color(rng, 220, 255)
    box = (left - 4, top - 4, left + width + 4, top + height + 4)
    pen.rectangle(box, fill=board, outline=ink)
    pen.text((left - x0, top - y0), text, font=_font(file, size), fill=ink)
    return Thing("word", word, None, cell, box)


@lru_cache(maxsize=256)
def _font(file: Path, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout is part of every Pillow; the other one is only there with a system library.
    return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)


def _random_color(rng: random.Random, low: int, high: int) -> Color:
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def _background(rng: random.Random) -> Image.Image:
    """Paint one colour, a gradient, soft blotches or stripes, with some grain."""
    noise = np.random.default_rng(rng.randint(0, 2**31))
    kind = rng.random()
    first, second = (np.array(_random_color(rng, 30, 255), np.float32) for _ in range(2))
    pixels = np.ones((SIDE, SIDE, 3), np.float32) * first
    across = rng.random() < 0.5
    if 0.3 <= kind < 0.55:
        ramp = np.linspace(0, 1, SIDE, dtype=np.float32)
        share = (ramp[None, :] if across else ramp[:, None])[..., None]
        pixels = pixels * (1 - share) + second * share
    elif 0.55 <= kind < 0.85:
        cells = rng.choice((3, 5, 8, 16))
        coarse = (noise.random((cells, cells, 3)) * rng.randint(40, 255)).astype(np.uint8)
        soft = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        pixels = np.asarray(soft).astype(np.float32) * 0.6 + first * 0.4
    elif kind >= 0.85:
        striped = np.arange(SIDE) // rng.randint(6, 28) % 2 == 0
        pixels[(slice(None), striped) if across else striped] = second
    if rng.random() < 0.6:
        grain = noise.standard_normal((SIDE, SIDE, 1), dtype=np.float32)
        pixels = pixels + grain * (rng.random() * 10)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _weathered(image: Image.Image, rng: random.Random) -> Image.Image:
    """Change the brightness of some pictures and blur some."""
    if rng.random() < 0.3:
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.7, 1.2))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    return image
