"""Where training gets its pictures: scenes by number, in batches, the same for the same seed.

Several workers may draw ahead; the order of the batches does not depend on how many. Also which
patches a thing covers. Knows nothing of models or losses.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from explorer.pico.architecture import GRID, PATCH
from explorer.pico.data import scenes
from explorer.pico.data.icons import Icons
from explorer.pico.data.scenes import Scene, Thing

# Training keeps to seeds from here on, a span for each stage of a run, so that no scene of the page
# or of an evaluation has been trained on.
FIRST_SEED = 10_000_000_000
SPAN = 10_000_000


@dataclass(frozen=True)
class Pictures:
    """An endless supply of scenes: number n of seed s is always the same scene."""

    seed: int
    icons: tuple[Icons, ...] | None = None
    fonts: tuple[Path, ...] | None = None
    workers: int = 0

    def scene(self, number: int, dense: bool = False, signs: float = scenes.SIGN_SHARE) -> Scene:
        """Draw scene `number`; dense and signs as in `scenes.make`."""
        seed = FIRST_SEED + self.seed * SPAN + number
        return scenes.make(seed, icons=self.icons, fonts=self.fonts, dense=dense, signs=signs)

    def rng(self, number: int) -> random.Random:
        """Give the generator for all else that is drawn by chance for scene `number`."""
        return random.Random(f"{self.seed} {number}")

    def batches(
        self,
        example: Callable[[Pictures, int], Any],
        steps: int,
        batch: int,
        collate: Callable[[list], Any] | None = None,
    ) -> Iterator[Any]:
        """Give `steps` batches of example(self, 0), example(self, 1), ..."""
        numbered = _Numbered(self, example, steps * batch)
        return iter(DataLoader(numbered, batch, num_workers=self.workers, collate_fn=collate))


@dataclass(frozen=True)
class _Numbered(Dataset):
    pictures: Pictures
    example: Callable[[Pictures, int], Any]
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Any:
        return self.example(self.pictures, number)


def covered(thing: Thing) -> tuple[slice, slice]:
    """Give the rows and columns of the patches that a thing covers, at least one of each."""
    x0, y0, x1, y1 = thing.box
    return _patches(y0, y1), _patches(x0, x1)


def covered_patches(things: tuple[Thing, ...]) -> Tensor:
    """Mark the patches that any of the things covers: float32 [196] of 0 and 1."""
    marked = torch.zeros(GRID, GRID)
    for thing in things:
        marked[covered(thing)] = 1
    return marked.flatten()


def _patches(low: int, high: int) -> slice:
    first = min(GRID - 1, max(0, round(low / PATCH)))
    return slice(first, max(first + 1, round(high / PATCH)))
