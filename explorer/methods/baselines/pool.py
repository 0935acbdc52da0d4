"""Pool: shrink the picture's grid by averaging neighbours. The baseline that throws nothing away.

The picture is cut into K regions of nearly equal size; each becomes the mean of its tokens, so a
smaller budget means a coarser picture. Looks at no score of any token.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.methods.baselines.regions import regions
from explorer.methods.signals import Kept, Signals, Size, Stage

KEY = "pool"
TITLE = "Pooling"
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
MERGES = True
TRAINED = False
POSITIONS = "renumber"
WHERE = "before the LLM"
SENTENCE = "Averages neighbouring patches, as if the picture had been made smaller."
EQUATION = "token = mean of the features of a region"
HEADLINE = ""
TRAPS = "Nothing is dropped, but a small thing is mixed with the ground around it."
SCORE_MEANS = "the same for every patch"
OPTIONS: dict[str, tuple] = {}
VARIANTS: dict[str, dict] = {}


def schedule(size: Size, budget: int) -> list[Stage]:
    """Fold all tokens into `budget` means before the language model; keep all if none must go."""
    if budget == size.tokens:
        return [Stage(0, budget)]
    return [Stage(0, 0, budget)]


def floor(size: Size) -> int:
    """Any budget from one token on can be reached."""
    return 1


def score(signals: Signals) -> Tensor:
    """Give every token the same score, [N] ones: all weigh alike in their mean."""
    return torch.ones(signals.count, device=signals.place.device, dtype=torch.float32)


def keep(signals: Signals, stage: Stage) -> Kept:
    """Replace each of M regions by the mean of its tokens, in reading order."""
    if stage.merge == 0:
        return Kept(torch.arange(signals.count, device=signals.place.device))
    group = regions(signals.place, stage.merge)
    inside = group >= 0
    features = signals.features[inside].float()
    sums = features.new_zeros(stage.merge, features.shape[1]).index_add_(0, group[inside], features)
    counts = group[inside].bincount(minlength=stage.merge)
    return Kept(group.new_empty(0), merged=sums / counts[:, None], group=group)
