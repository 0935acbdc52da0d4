"""Uniform: keep an even grid of patches. The baseline that knows only that pictures are flat.

The picture is cut into K regions of nearly equal size; the token in the middle of each stays.
Looks at no value of any token.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.methods.baselines.regions import regions
from explorer.methods.signals import Kept, Signals, Size, Stage

KEY = "uniform"
TITLE = "Uniform grid"
AUTHORS = ""
YEAR = None
ARXIV = ""
REPOSITORY = ""
COMMIT = ""
VERIFIED = "A baseline of this project; checked by its property tests only."
UNCERTAIN = ""
NEEDS: frozenset[str] = frozenset()
READS_QUESTION = False
NESTED = False
MERGES = False
TRAINED = False
POSITIONS = "renumber"
WHERE = "before the LLM"
SENTENCE = "Keeps an even grid of patches, whatever they show."
EQUATION = "keep the middle of each of K regions of like size"
HEADLINE = ""
TRAPS = "Thin things between the kept points are lost, whatever they are."
SCORE_MEANS = "the same for every patch"
OPTIONS: dict[str, tuple] = {}
VARIANTS: dict[str, dict] = {}


def schedule(size: Size, budget: int) -> list[Stage]:
    """Prune once, before the language model: every layer then sees `budget` tokens."""
    return [Stage(0, budget)]


def floor(size: Size) -> int:
    """Any budget from one token on can be reached."""
    return 1


def score(signals: Signals) -> Tensor:
    """Give every token the same score, [N] ones: only its place counts."""
    return torch.ones(signals.count, device=signals.place.device, dtype=torch.float32)


def keep(signals: Signals, stage: Stage) -> Kept:
    """Keep the token nearest to the centre of each of K regions; of two equally near the first."""
    region = regions(signals.place, stage.keep)
    tokens = (region >= 0).nonzero()[:, 0]
    region, place = region[tokens], signals.place[tokens, 1:].float()
    size = region.bincount(minlength=stage.keep)
    centre = place.new_zeros(stage.keep, 2).index_add_(0, region, place) / size[:, None]
    distance = (place - centre[region]).square().sum(1)
    nearest = distance.argsort(stable=True)
    grouped = nearest[region[nearest].argsort(stable=True)]  # by region, the nearest first
    return Kept(tokens[grouped[size.cumsum(0) - size]].sort().values)
