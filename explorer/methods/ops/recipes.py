"""How many tokens leave which layer, fitted offline: FitPrune's recipes, stretched to any model.

The ten that its authors ship (LLaVA-1.5-7B: 576 tokens, 32 layers), and those that
`python -m explorer fitprune-recipe` has fitted for other models. Counts only: knows no scores.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from explorer import ROOT

ASSETS = ROOT / "assets"
FILE = "fitprune.json"  # of a model's folder in the assets
SHIPPED = (  # tokens deleted in layers 0 to 31, for 10, 20, 30, 40, 50, 55, 60, 70, 80, 90 %
    "0 0 1 2 1 0 1 4 5 5 11 4 2 2 0 0 1 1 2 4 2 10 1 1 1 2 1 1 0 1 0 0",
    "0 0 3 3 1 1 4 16 14 15 24 4 2 3 2 0 6 0 5 13 4 19 2 1 1 1 1 1 2 1 0 0",
    "0 0 7 6 4 5 16 40 24 21 24 4 2 3 4 0 16 0 11 26 6 32 3 1 0 1 2 2 4 0 0 0",
    "0 1 21 13 14 11 41 53 29 15 14 5 1 4 5 1 26 1 13 28 6 27 2 1 0 0 1 1 2 0 0 0",
    "3 7 49 24 29 17 59 41 26 8 10 6 2 5 7 2 30 3 13 27 5 23 2 1 0 0 1 1 2 0 0 0",
    "6 17 69 31 34 19 59 30 23 6 8 7 2 5 8 2 29 4 12 25 4 19 2 1 0 0 1 0 1 0 0 0",
    "14 33 89 36 36 20 55 21 18 4 7 5 2 5 7 4 26 5 11 24 4 18 2 1 0 0 1 0 1 0 0 0",
    "48 79 118 41 33 17 36 9 9 2 3 2 1 3 4 8 18 7 8 20 4 13 2 1 0 0 1 0 1 0 0 0",
    "128 127 118 35 26 8 13 3 2 1 0 0 0 2 1 8 7 8 5 11 2 6 1 1 0 0 0 1 0 0 0 0",
    "262 153 80 19 13 1 2 0 0 0 0 0 0 0 0 1 1 2 1 2 0 1 0 0 0 0 0 1 0 0 0 0",
)


@dataclass(frozen=True)
class Recipes:
    """Recipes of one model: N visual tokens, and how many of them are deleted in each layer."""

    tokens: int
    deleted: tuple[tuple[int, ...], ...]

    def alive(self, recipe: int, layers: int) -> list[float]:
        """Give the shares of the tokens that enter each of `layers` layers, at the same depths."""
        deleted = self.deleted[recipe]
        entering = [1 - gone / self.tokens for gone in accumulate(deleted, initial=0)][:-1]
        depths = [layer * len(deleted) / layers for layer in range(layers)]
        return [_at(entering, depth) for depth in depths]

    def shares(self, layers: int, mean: float) -> tuple[list[float], bool]:
        """Give the shares entering each layer whose mean is a share, and whether a recipe did.

        Between two recipes their mixture; below the smallest one, that one with what enters the
        layers behind the first scaled down.
        """
        known = [[1.0] * layers]
        known += [self.alive(recipe, layers) for recipe in range(len(self.deleted))]
        for curve in known:
            if abs(sum(curve) / layers - mean) * self.tokens <= 0.5:
                return curve, True
        for more, less in pairwise(known):
            high, low = sum(more) / layers, sum(less) / layers
            if high >= mean >= low and high > low:
                part = (mean - low) / (high - low)
                return [part * a + (1 - part) * b for a, b in zip(more, less, strict=True)], False
        _, *rest = known[-1]
        scale = max(0.0, mean * layers - 1) / max(sum(rest), 1e-9)
        return [1.0, *(scale * share for share in rest)], False


def _at(curve: Sequence[float], depth: float) -> float:
    """Read a curve between its points; what stands behind the last one goes on as it is."""
    before = min(int(depth), len(curve) - 1)
    after = min(before + 1, len(curve) - 1)
    return curve[before] + (depth - before) * (curve[after] - curve[before])


def read(file: Path) -> Recipes:
    """Read recipes that the command has written."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    deleted = sorted((tuple(map(int, row)) for row in stored["deleted"]), key=sum)
    return Recipes(int(stored["tokens"]), tuple(deleted))


SHIPPED_RECIPES = Recipes(576, tuple(tuple(map(int, row.split())) for row in SHIPPED))
RECIPES: dict[str, Recipes] = {"llava-1.5-7b": SHIPPED_RECIPES} | {
    file.parent.name: read(file) for file in sorted(ASSETS.glob(f"*/{FILE}"))
}
