"""A built-in film: one thing after another crosses a plain picture, drawn from a seed.

Made when it is asked for, from the icons in assets; the same seed gives the same film everywhere.
Its things are as large as pico knows them on a contact sheet of 4 to 9 frames. Knows nothing of
questions or models.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from explorer.pico.data.icons import load
from explorer.pico.data.scenes import SIDE
from explorer.pico.data.vocabulary import AWKWARD_NAMES, OBJECTS

FPS = 8
ACT = 8  # frames in which one thing is to be seen
THING = 120  # pixels
ACTS = 9


@dataclass(frozen=True)
class SyntheticVideo:
    """Pictures (224x224 RGB, FPS a second), and what is to be seen in each act of ACT pictures."""

    images: tuple[Image.Image, ...]
    acts: tuple[str, ...]
    seed: int

    def shown(self, number: int) -> str:
        """Name the thing in picture `number`."""
        return self.acts[number // ACT]


def make(seed: int, acts: Sequence[str] | None = None) -> SyntheticVideo:
    """Draw the film of a seed. acts: what is to be seen, one after the other; default by chance."""
    rng = random.Random(f"film {seed}")
    names = [name for name in OBJECTS if name not in AWKWARD_NAMES]
    acts = tuple(acts) if acts is not None else tuple(rng.sample(names, ACTS))
    ground = _ground(rng)
    images = [image for name in acts for image in _act(name, ground, rng)]
    return SyntheticVideo(tuple(images), acts, seed)


def _ground(rng: random.Random) -> Image.Image:
    """Paint one soft colour that gets darker towards the bottom."""
    colour = np.array([rng.randint(150, 235) for _ in range(3)], np.float32)
    shade = np.linspace(1, 0.8, SIDE, dtype=np.float32)[:, None, None]
    return Image.fromarray(np.broadcast_to(colour * shade, (SIDE, SIDE, 3)).astype(np.uint8))


def _act(name: str, ground: Image.Image, rng: random.Random) -> list[Image.Image]:
    """Let one thing cross the picture, all of it in view."""
    icon = load()[name]
    scale = THING / max(icon.size)
    icon = icon.resize((int(icon.width * scale), int(icon.height * scale)))
    room = SIDE - icon.width, SIDE - icon.height
    start, end = (tuple(rng.uniform(0.1, 0.9) * free for free in room) for _ in range(2))
    images = []
    for number in range(ACT):
        share = number / (ACT - 1)
        at = tuple(int(a + (b - a) * share) for a, b in zip(start, end, strict=True))
        image = ground.copy()
        image.paste(icon, at, icon)
        images.append(image)
    return images
