"""Random: keep K visual tokens drawn by lot. A baseline that every method has to beat.

Looks at nothing, not even the picture. One permutation per seed decides for every budget, so that
the kept sets grow with K; the mean over the seeds is what a comparison should quote.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.signals import Signals


@dataclass(frozen=True)
class Random(BeforeLLM):
    """The first tokens of a shuffled queue; one queue per seed."""

    card = Card(
        key="random",
        title="Random",
        verified="A baseline of this project; checked by its property tests only.",
        sentence="Keeps patches drawn by lot: a method that can't beat this has learned nothing.",
        equation="score_j = position of token j in a shuffled list",
        traps=(
            "A single draw can be lucky: look at several seeds before you say that a method beats "
            "chance."
        ),
        score_means="place in a random order",
    )
    seed: int = option(*range(10), meaning="which shuffle")

    def score(self, signals: Signals) -> Tensor:
        """Give each token its place in a shuffled queue, [N] in (0, 1]: 1 is first in the queue."""
        n = signals.count
        # drawn on the CPU: the same seed gives the same tokens on every device
        queue = torch.randperm(n, generator=torch.Generator().manual_seed(self.seed))
        scores = torch.empty(n, dtype=torch.float32)
        scores[queue] = torch.arange(n, 0, -1, dtype=torch.float32) / n
        return scores.to(signals.grid_position.device)
