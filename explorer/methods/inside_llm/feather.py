"""FEATHER: rank patches by attention without positions, keep an even grid for a while, rank again.

Endo, Wang, Yeung-Levy, "Feather the Throttle: Revisiting Visual Token Pruning for Vision-Language
Model Acceleration", ICCV 2025, arXiv 2412.13180. Official code: markendo/FEATHER @c2a09b2,
prismatic-vlms/prismatic/models/backbones/llm/llama2_models.py (FastVLlamaModel.forward). The cure
for FastV's lower end: rotary positions make the last word look at what stands close to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from explorer.methods.inside_llm import token_schedule
from explorer.methods.inside_llm.token_schedule import InsideLLM
from explorer.methods.method import Card, Variant, option
from explorer.methods.signals import Kept, Signals, Size, Stage, top


@dataclass(frozen=True)
class Feather(InsideLLM):
    """FastV's row without its positions, a grid for the first half, and a second look."""

    card = Card(
        key="feather",
        title="FEATHER",
        authors="Endo, Wang, Yeung-Levy",
        year=2024,
        arxiv="2412.13180",
        repository="markendo/FEATHER",
        commit="c2a09b276596",
        verified=(
            "Scores, kept sets and positions of both stages, logits, answers and cache lengths "
            "equal those of the official code on 2 recorded runs of tiny random models."
        ),
        uncertain=(
            "Known from code, README and abstract; the paper was not read. A comment in the code "
            "says that the second stage spares the grid; the code doesn't, and so doesn't this. "
            "One setting is published: layers 8 and 16 of 32, shares .3 and .09, stride 3, a mean "
            "of .34 to .37 of the tokens. Other budgets and depths are ours, and so is a grid in "
            "every view, where the code knows one square picture."
        ),
        sentence=(
            "FastV with its blind spot repaired: ranks patches without their positions, keeps an "
            "even grid for a while, then ranks again."
        ),
        equation="s_j = 1/H Σ_h softmax over patches of q_last · k_j / √d, both before RoPE",
        headline=(
            "Prism-SigLIP 7B on RefCOCO: FastV 7.6, FastV without positions 15.4, FEATHER 43.4. "
            "README of the code; the untouched model's number is not there."
        ),
        traps=(
            "The shares of a row add up to 1 over the patches alone: a head that hardly looks at "
            "the picture counts as much as one that looks at nothing else. What the grid protects "
            "are the layers between the stages: at the second one most of it goes."
        ),
        score_means="attention from the prompt's last token, without positions",
    )
    needs = frozenset({"unrotated_attention", "last_attention", "inputs"})
    reads_question = True
    nested = False
    positions = "keep"
    mode: str = option("two-stage", "one-stage", meaning="with a grid, or FastV without positions")
    stride: int = option(3, 2, meaning="every how many rows and columns the grid keeps a patch")
    rotary: bool = option(False, True, meaning="turn queries and keys by their positions, as FastV")
    variants = (Variant("norope", {"mode": "one-stage"}, "FastV without positions, one stage"),)

    @property
    def grid_stride(self) -> int | None:
        """Give the stride of the grid that stays between the two stages."""
        return self.stride if self.mode == "two-stage" else None

    def layers(self, size: Size) -> list[int]:
        """After a quarter and a half of the layers; layer 3 where there is one stage alone."""
        two = self.mode == "two-stage"
        asked = [round(size.layers / 4), round(size.layers / 2)] if two else [3]
        return token_schedule.places(size, asked)

    def smallest(self, size: Size) -> list[Stage]:
        """The grid alone, then a single token."""
        return token_schedule.steps(size, self.layers(size), self.counts(size, 0.0))

    def counts(self, size: Size, share: float) -> list[int]:
        """Give the tokens that stay at each stage: n1 = N q + u (1 - q), n2 = n1 q^2; q = share."""
        if self.mode == "one-stage":
            return [max(1, round(size.tokens * share))]
        rows, columns = -(-size.tokens // size.columns), size.columns
        grid = min(size.tokens, -(-rows // self.stride) * -(-columns // self.stride))
        # differs: the official n1 is smaller by the patches that are in the grid and among the best
        first = round(size.tokens * share + grid * (1 - share))
        return [first, max(1, int(first * share**2))]

    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Find the largest share q within the budget; what rounding leaves goes to the last."""
        make = partial(self.counts, size)
        return token_schedule.within(size, budget, self.layers(size), make)

    def score(self, signals: Signals) -> Tensor:
        """Give the head mean of the last token's attention to the patches, [N]; its sum is 1."""
        if self.rotary:  # the same row with its positions: attention, cut to the patches
            row = signals.last_attention.float()
            return (row / row.sum(1, keepdim=True).clamp(min=1e-30)).mean(0)
        return signals.unrotated_attention.float().mean(0)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep the grid and the best of the others at the first stage, the best at the second."""
        score = self.score(signals).double()
        if self.mode == "two-stage" and signals.count == len(signals.inputs):
            _, row, column = signals.grid_position.T  # of its view; -1 without a patch
            grid = (row >= 0) & (row % self.stride == 0) & (column % self.stride == 0)
            # the official union of the best A and the grid U: A without U is what ranks first here
            score = score + 2 * grid
        return Kept(top(score, stage.keep))
