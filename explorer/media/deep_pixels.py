"""Pictures with more, or fewer, than 8 bits in a sample, and the transparent value of such PNGs.

PIL hands 16-bit grey over as it is, and would clip it at 255 when it is converted. Works strip by
strip, so that a large picture never stands in memory a second time as floats. Knows samples; not
files, nor what becomes of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

ROWS = 256  # of one strip
FULL = 65535.0  # white of a 16-bit sample
LEAST_SPAN = FULL / 32  # values in a range smaller than that are not stretched: noise would be all


def is_deep(image: Image.Image) -> bool:
    """Tell whether a sample has 16 or 32 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def scaled_to_bytes(image: Image.Image) -> Image.Image:
    """Bring deep grey samples to 0..255: mode L, or LA where a PNG names a transparent value.

    A 16-bit sample of a PNG means what its specification says, 65535 is white. Other files often
    hold 10 to 14 bits in 16, or any range of floats: these are stretched from their own range,
    16-bit ones unless that is so small that hardly more than noise would be seen. What is not
    finite becomes black or, if it is +inf, white.
    """
    sixteen = image.mode.startswith("I;16")
    low, high = (0.0, FULL) if sixteen and image.format != "TIFF" else _range(image)
    if sixteen and high - low < LEAST_SPAN:
        low, high = 0.0, FULL
    clear = image.info.get("transparency") if sixteen else None
    scaled = Image.new("L" if clear is None else "LA", image.size)
    for top, values in _strips(image):
        with np.errstate(over="ignore", invalid="ignore"):
            grey = (values - low) * (255 / (high - low) if high > low else 0.0)
        grey = np.nan_to_num(grey, nan=0.0, posinf=255, neginf=0).clip(0, 255)
        pixels = np.rint(grey).astype(np.uint8)
        if clear is not None:
            alpha = np.where(values == clear, 0, 255).astype(np.uint8)
            pixels = np.stack([pixels, alpha], -1)
        scaled.paste(Image.fromarray(pixels), (0, top))
    return scaled


def tune_transparency(image: Image.Image) -> None:
    """Bring a PNG's transparent value to the 8 bits that PIL makes of its samples.

    PIL spreads grey of 2 or 4 bits over 0..255 and takes the high byte of 16-bit colours, and
    leaves the value that the file names as it is. To be called before the pixels are decoded.
    """
    value = image.info.get("transparency")
    if image.format != "PNG" or value is None or not image.tile:
        return
    layout = str(image.tile[0].args)
    if isinstance(value, int) and "L;2" in layout:
        image.info["transparency"] = value * 0x55
    elif isinstance(value, int) and "L;4" in layout:
        image.info["transparency"] = value * 0x11
    elif isinstance(value, tuple) and "16B" in layout:
        image.info["transparency"] = tuple(sample >> 8 for sample in value)


def _strips(image: Image.Image) -> Iterator[tuple[int, np.ndarray]]:
    """Give the samples [rows, W] as floats, and the row at which each strip begins."""
    width, height = image.size
    for top in range(0, height, ROWS):
        strip = image.crop((0, top, width, min(height, top + ROWS)))
        yield top, np.asarray(strip).astype(np.float32)


def _range(image: Image.Image) -> tuple[float, float]:
    """Give the smallest and the largest finite sample; 0, 0 if there is none."""
    finite = [values[np.isfinite(values)] for _, values in _strips(image)]
    finite = [values for values in finite if values.size]
    if not finite:
        return 0.0, 0.0
    return float(min(v.min() for v in finite)), float(max(v.max() for v in finite))
