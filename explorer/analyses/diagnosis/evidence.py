"""Where patches lie, in words: on which things of a scene, or in which rows and columns.

Knows grids and scenes; not models or methods.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.media.grid import Box, Grid
from explorer.pico.data import scenes
from explorer.pico.data.scenes import Thing

ON = 0.25  # share of a patch that lies on a thing's box, from which on it is the thing's; ours
NAMED = 4  # patches of a picture without known things that are told one by one


@dataclass(frozen=True)
class NamedBox:
    """A thing of a picture: its name and its box x0, y0, x1, y1 in pixels."""

    name: str
    box: Box


def name_of(thing: Thing) -> str:
    """Name a thing of a scene: "sign “stop”", "red circle", "cheese"."""
    if thing.kind == "word":
        return f"sign “{thing.name}”"
    return f"{thing.color} {thing.name}" if thing.color else thing.name


def things_of(seed: int | None) -> tuple[NamedBox, ...]:
    """List the things of a scene; none for a picture that is no scene."""
    things = () if seed is None else scenes.make(seed).things
    return tuple(NamedBox(name_of(thing), thing.box) for thing in things)


def patches_in_words(grid: Grid, tokens: Sequence[int], things: Sequence[NamedBox] = ()) -> str:
    """Say how many patches lie on what: "2 patches of the cheese and 1 of the background".

    Without known things it is said where they are: "2 patches (row 3, column 5; row 4, column 5)".
    """
    if not len(tokens):
        return "no patch"
    if not things:
        return f"{_patches(len(tokens))} ({_places(grid, tokens)})"
    counts = Counter(_thing_under(grid, token, things) for token in tokens)
    background = counts.pop(None, 0)
    parts = [(count, f"the {name}") for name, count in counts.most_common()]
    parts += [(background, "the background")] if background else []
    first, *others = parts
    words = [f"{_patches(first[0])} of {first[1]}", *(f"{n} of {what}" for n, what in others)]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _patches(count: int) -> str:
    return "1 patch" if count == 1 else f"{count} patches"


def _places(grid: Grid, tokens: Sequence[int]) -> str:
    told = []
    for token in list(tokens)[:NAMED]:
        _, row, column = grid.place[token]
        told.append("no place" if row < 0 else f"row {row + 1}, column {column + 1}")
    more = len(tokens) - NAMED
    return "; ".join([*told, *([f"{more} more"] if more > 0 else [])])


def _thing_under(grid: Grid, token: int, things: Sequence[NamedBox]) -> str | None:
    """Name the thing that covers most of a patch; None for the background."""
    x0, y0, x1, y1 = map(float, grid.boxes[token])
    area = (x1 - x0) * (y1 - y0)
    if not np.isfinite(area) or area <= 0:
        return None
    covered = [
        max(0.0, min(x1, bx1) - max(x0, bx0)) * max(0.0, min(y1, by1) - max(y0, by0)) / area
        for bx0, by0, bx1, by1 in (thing.box for thing in things)
    ]
    best = int(np.argmax(covered))
    return things[best].name if covered[best] >= ON else None
