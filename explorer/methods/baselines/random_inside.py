"""Random inside the LLM: tokens drawn by lot leave where, and when, those of another method do.

The chance line of methods that prune inside the language model. Its first layers read everything,
which alone decides much of what an answer loses: random patches before the language model are no
fair measure for them. Looks at nothing, and never merges: a token that the other method folds into
a new one counts here as one that stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from explorer.methods.inside_llm.corematching import CoreMatching
from explorer.methods.inside_llm.fastv import FastV
from explorer.methods.inside_llm.feather import Feather
from explorer.methods.inside_llm.fitprune import FitPrune
from explorer.methods.inside_llm.ivcprune import IVCPrune
from explorer.methods.inside_llm.pact import PACT
from explorer.methods.inside_llm.pyramiddrop import PyramidDrop
from explorer.methods.inside_llm.sparsevlm import SparseVLM
from explorer.methods.inside_llm.transprune import TransPrune
from explorer.methods.inside_llm.vtw import VTW
from explorer.methods.method import Card, Method, option, positions_option
from explorer.methods.ops.recipes import RECIPES
from explorer.methods.several_stages.aim import AIM
from explorer.methods.several_stages.mustdrop import MustDrop
from explorer.methods.several_stages.visiondrop import VisionDrop
from explorer.methods.several_stages.vscan import VScan
from explorer.methods.signals import Signals, Size, Stage

# with or without its part in the tower, and three ways of its caches
MUSTDROP = [
    (tower, *caches)
    for tower in ("off", "on")
    for caches in (("cut", "prompt"), ("cut", "cache"), ("keep", "prompt"))
]
# when it cuts, and which caches: from layer 0, from layer 1, or none
IVCPRUNE = [
    (reading, early, caches)
    for early in (False, True)
    for reading, caches in (("qwen", "cut"), ("llava", "cut"), ("qwen", "keep"))
]
SCHEDULES: dict[str, Method] = {
    method.spec: method
    for method in (
        FastV(),
        PyramidDrop(),
        SparseVLM(),
        SparseVLM(version="plus"),
        TransPrune(),
        CoreMatching(),
        CoreMatching(mode="zero-kv"),
        VisionDrop(),
        Feather(),
        Feather(stride=2),
        Feather(mode="one-stage"),
        *(FitPrune(recipe=name) for name in RECIPES),
        VTW(),
        VScan(),
        AIM(),
        AIM(parts="prune"),
        PACT(),
        *(IVCPrune(*each) for each in IVCPRUNE),
        *(MustDrop(*each) for each in MUSTDROP),
    )
}


@dataclass(frozen=True)
class RandomInside(Method):
    """A new lot at every stage of another method's schedule."""

    card = Card(
        key="random_inside",
        title="Random inside the LLM",
        verified="A baseline of this project; checked by its property tests only.",
        sentence="Drops patches by lot, at the layers and in the numbers of another method.",
        equation="score_j = position of token j in a list that is shuffled at every stage",
        traps=(
            "A single draw can be lucky: look at several seeds before you say that a method beats "
            "chance."
        ),
        score_means="place in a random order",
    )
    nested = False
    where = "inside the LLM"
    schedule_of: str = option(*SCHEDULES, meaning="the method whose layers and numbers it takes")
    seed: int = option(0, 1, 2, 3, 4, meaning="which shuffle")
    positions: str = positions_option("keep", "renumber")

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Give the other method's stages; what it merges is kept instead."""
        stages = SCHEDULES[self.schedule_of].schedule(size, budget)
        return [replace(stage, keep=stage.total, merge=0) for stage in stages]

    def floor(self, size: Size) -> int:
        """Give the other method's floor."""
        return SCHEDULES[self.schedule_of].floor(size)

    def score(self, signals: Signals) -> Tensor:
        """Give each token its place in a shuffled queue of those alive, [N] in (0, 1]."""
        n = signals.count
        # the number of tokens is part of the seed: two stages never shuffle in the same way
        lot = torch.Generator().manual_seed(len(self.options()["seed"].values) * n + self.seed)
        return ((torch.randperm(n, generator=lot) + 1) / n).to(signals.grid_position.device)
