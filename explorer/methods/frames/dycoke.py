"""DyCoke: of every four frames keep the first, and of the others the patches that have changed.

Tao, Qin, You, Sui, Wang, "DyCoke: Dynamic Compression of Tokens for Fast Video Large Language
Models", CVPR 2025, arXiv 2411.15024. Official code: KD-TAO/DyCoke @dd74634, llava/model/
llava_arch.py (dycole_ttm): stage 1, before the language model. Stage 2, which thins out what
decoding reads of the cache, is left out: no run of it is recorded to check it against. Does not
read the question. For videos alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.errors import BadBudget
from explorer.methods.frames import windows
from explorer.methods.frames.windows import WHOLE, WINDOWS, cells_of, changes
from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.signals import Kept, Signals, Size, Stage


@dataclass(frozen=True)
class DyCoke(BeforeLLM):
    """Whole frames, and between them what is new."""

    card = Card(
        key="dycoke",
        title="DyCoke",
        authors="Tao, Qin, You, Sui, Wang",
        year=2024,
        arxiv="2411.15024",
        repository="KD-TAO/DyCoke",
        commit="dd7463498203",
        verified=(
            "Frames, kept sets and the order of the tokens equal those of the official function on "
            "2 recorded runs, one with an odd number of frames."
        ),
        uncertain=(
            "The paper was not read. Whether its numbers come with what the code does at the end "
            "is open: the last window's third frame stays whole, and of an odd number of frames "
            "the last is lost (here only if asked for). Longer windows, for smaller budgets, are "
            "ours. Its second stage, which lets decoding read less of the cache, is left out: no "
            "run of it is recorded, and where attention stays as it was, the code reads the whole "
            "cache again, while the abstract sounds as if it kept its choice."
        ),
        sentence=(
            "Keeps every fourth frame whole, and of the frames between only the patches that "
            "differ most from the frame before."
        ),
        equation="s_p = 1 − cos(x_f,p, x_f−1,p); for the third of four frames x_f−2,p",
        headline="1.5 times as fast, 1.4 times less memory, at no loss on average. Abstract.",
        traps=(
            "A patch is compared with the same place alone: what moves is new everywhere. Called "
            "merging, but nothing is averaged. A video that stands still keeps the top rows."
        ),
        score_means="how much a patch differs from the frame before; 2 where the frame is whole",
    )
    needs = frozenset({"frame_position"})
    nested = False  # every thinned frame keeps as many, whatever changes in it
    order: str = option("change", "raster", meaning="in a thinned frame, most changed first or not")
    below: str = option("window", "refuse", meaning="longer windows for budgets below the authors'")
    official: bool = option(False, True, meaning="lose the last of an odd number of frames")

    def least(self, size: Size, window: int) -> int:
        """Give the tokens of the whole frames, and those of no frame."""
        others = windows.compared(size.frames, window, self.official)
        thinned = len(others) - others.count(WHOLE)
        return size.tokens - thinned * (size.tokens // size.frames)

    def floor(self, size: Size) -> int:
        """Give what whole frames come to; a picture is one, and can't be thinned out."""
        tried = WINDOWS if self.below == "window" else WINDOWS[:1]
        return max(1, min(self.least(size, window) for window in tried))

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Give one stage; raises `BadBudget` below the whole frames."""
        if budget < self.floor(size):
            raise BadBudget(
                f"DyCoke thins out the frames of a video and keeps some whole, so it needs at "
                f"least {self.floor(size)} tokens here; {budget} is too small."
            )
        return super().schedule(size, budget)

    def score(self, signals: Signals) -> Tensor:
        """Give how much each patch has changed, [N]; 2, the most there is, in whole frames."""
        cells, score = cells_of(signals), torch.full_like(signals.features[:, 0], 2).float()
        others = windows.compared(len(cells), WINDOWS[0], self.official)
        for own, change in zip(cells, changes(signals, cells, others), strict=True):
            score[own] = 2.0 if change is None else change
        return score

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep whole frames, and the k patches of every other one that changed most."""
        cells = cells_of(signals)
        size = Size(signals.count, 1, 1, frames=len(cells))
        window = next(each for each in WINDOWS if self.least(size, each) <= stage.keep)
        others = windows.compared(len(cells), window, self.official)
        budget = stage.keep - signals.count + cells.numel()  # what is no patch of a frame stays
        counts = windows.counts(others, cells.shape[1], budget)
        source = torch.arange(signals.count, device=cells.device)
        stays = torch.ones_like(source, dtype=torch.bool)
        for own, change, count in zip(cells, changes(signals, cells, others), counts, strict=True):
            best = own if change is None else own[change.argsort(descending=True, stable=True)]
            stays[best[count:]] = False
            if count < len(own):  # the code's order, at the places of those that stay
                source[best[:count].sort().values] = best[:count]
        index = stays.nonzero()[:, 0]
        if self.order == "raster" or self.positions == "keep" or len(index) == signals.count:
            return Kept(index)
        return Kept(index, features=signals.features[source[index]])
