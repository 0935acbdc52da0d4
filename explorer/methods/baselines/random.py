"""Random: keep K visual tokens drawn by lot. A baseline that every method has to beat.

Looks at nothing, not even the picture. One permutation per seed decides for every budget, so that
the kept sets grow with K; the mean over the seeds is what a comparison should quote.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.methods.signals import Kept, Signals, Size, Stage, top

KEY = "random"
TITLE = "Random"
AUTHORS = ""
YEAR = None
ARXIV = ""
REPOSITORY = ""
COMMIT = ""
VERIFIED = "A baseline of this project; checked by its property tests only."
UNCERTAIN = ""
NEEDS: frozenset[str] = frozenset()
READS_QUESTION = False
NESTED = True
MERGES = False
TRAINED = False
POSITIONS = "renumber"
WHERE = "before the LLM"
SENTENCE = "Keeps patches drawn by lot: a method that can't beat this has learned nothing."
EQUATION = "score_j = position of token j in a shuffled list"
HEADLINE = ""
TRAPS = (
    "A single draw can be lucky: look at several seeds before you say that a method beats chance."
)
SCORE_MEANS = "place in a random order"
OPTIONS = {"seed": (0, 1, 2, 3, 4)}
VARIANTS: dict[str, dict] = {}


def schedule(size: Size, budget: int, *, seed: int = 0) -> list[Stage]:
    """Prune once, before the language model: every layer then sees `budget` tokens."""
    return [Stage(0, budget)]


def floor(size: Size, *, seed: int = 0) -> int:
    """Any budget from one token on can be reached."""
    return 1


def score(signals: Signals, *, seed: int = 0) -> Tensor:
    """Give each token its place in a shuffled queue, [N] in (0, 1]: 1 is first in the queue."""
    n = signals.count
    # drawn on the CPU: the same seed gives the same tokens on every device
    queue = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    scores = torch.empty(n, dtype=torch.float32)
    scores[queue] = torch.arange(n, 0, -1, dtype=torch.float32) / n
    return scores.to(signals.place.device)


def keep(signals: Signals, stage: Stage, *, seed: int = 0) -> Kept:
    """Keep the first `stage.keep` of the queue."""
    return Kept(top(score(signals, seed=seed), stage.keep))
