"""Small video files, written by OpenCV or by PIL: frame number i is grey, brighter with every i."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

CODECS = {"mp4": "mp4v", "webm": "VP80", "avi": "MJPG"}


def written(path: Path, frames: int = 30, size=(160, 120), fps: float = 10.0) -> Path:
    """Write a video whose frame i has brightness 8 i, in the format that its name ends on."""
    kind = cv2.VideoWriter_fourcc(*CODECS[path.suffix[1:]])
    file = cv2.VideoWriter(str(path), kind, fps, size)
    for number in range(frames):
        file.write(np.full((size[1], size[0], 3), 8 * number % 256, np.uint8))
    file.release()
    return path


def gif(path: Path, frames: int = 9, size=(50, 40)) -> Path:
    """Write an animated GIF whose frame number i has brightness 20 i; ten frames a second."""
    shades = [Image.new("RGB", size, (20 * number,) * 3) for number in range(frames)]
    shades[0].save(path, save_all=True, append_images=shades[1:], duration=100)
    return path
