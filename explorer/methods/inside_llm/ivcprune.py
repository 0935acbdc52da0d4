"""IVC-Prune: keep the positions that the rotary embedding uses as coordinates, and a foreground.

Sun et al., "IVC-Prune: Revealing the Implicit Visual Coordinates in LVLMs for Vision Token
Pruning", ICLR 2026, arXiv 2602.03060. Official code: FireRedTeam/IVC-Prune @03afd9c, transformers/
src/transformers/models/: qwen2_5_vl/modeling_qwen2_5_vl.py and llama/modeling_llama.py
(IVCP_forward_flashattention). Reads the question, by values, which carry no positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.methods.inside_llm.token_schedule import InsideLLM, behind, untouched
from explorer.methods.method import Card, Variant, option
from explorer.methods.signals import Kept, Signals, Size, Stage, top

SEEDS = 0.01  # of the picture's tokens
SKIPPED = 2  # tokens behind the picture that don't count as text
COORDINATES = {"qwen": 0.2, "llava": 1 / 6}  # of those that stay: .1 of .5, and .05 of .3


@dataclass(frozen=True)
class IVCPrune(InsideLLM):
    """Coordinates by position alone; seeds like the question, and what is like both."""

    card = Card(
        key="ivcprune",
        title="IVC-Prune",
        authors="Sun, Ma, Liu, Chen, Tang, Hu, Xu",
        year=2026,
        arxiv="2602.03060",
        repository="FireRedTeam/IVC-Prune",
        commit="03afd9cee41f60bb30b51a4105839f2b5d467814",
        verified=(
            "Similarities, seeds, coordinates and kept sets equal the official code's on 2 "
            "recorded runs, one of each reading; LLaVA's with logits, answers, lengths of caches."
        ),
        uncertain=(
            "Abstract, README and code were read, not the paper's body. Half of the tokens behind "
            "the middle layer is published, small budgets never were; shares of coordinates follow "
            "the budget (ours). The shipped start of LLaVA's picture misses it; here it is found. "
            "All views are one set, where the code treats InternVL's tiles by themselves."
        ),
        sentence=(
            "Keeps patches whose positions the model uses as coordinates, and those whose values "
            "are like the question's, and takes the others out of all that decoding reads."
        ),
        equation="w_qi = 1/H Σ_h softmax_i(v_q · v_i / √d); coordinates: top Σ cos θ, top Σ sin θ",
        headline="About half of the tokens at 99 % of the performance or more (abstract).",
        traps=(
            "Coordinates are the same for every picture of a size: the map shows the score of the "
            "foreground alone. Unless the cut is early, the layers before it read so much that a "
            "mean can't go below half of all tokens."
        ),
        score_means="likeness of values to the question's and the seeds'",
    )
    needs = frozenset({"values", "tail_values", "other_values", "rotary"})
    reads_question = True
    nested = False
    positions = "keep"
    variants = (
        Variant(
            "llava", {"reading": "llava"}, "as the code for LLaVA-1.5: softmax over all tokens"
        ),
    )
    reading: str = option("qwen", "llava", meaning="which of the authors' two codes is followed")
    early_layer: bool = option(False, True, meaning="cut before layer 2, as for Qwen2-VL")
    early: str = option("cut", "keep", meaning="cut the caches of layers that have run, too")

    def layers(self, size: Size) -> list[int]:
        """It acts before layer 16 of 28, or before layer 2."""
        return [2 if self.early_layer else max(1, round(16 / 28 * size.layers))]

    def smallest(self, size: Size) -> list[Stage]:
        """A single visual token is left after the first layers."""
        return [Stage(min(self.layers(size)[0], size.layers), 1)]

    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Solve K = (r N + (L - r) n) / L for the n tokens that stay."""
        [layer] = self.layers(size)
        keep = behind(size, layer, budget)
        if keep >= size.tokens:
            return untouched(size, [layer])
        # the code for LLaVA leaves layer 0 whole: the library takes the length from there
        cut_from = int(self.reading == "llava") if self.early == "cut" else None
        return [Stage(layer, keep, cut_from=cut_from)]

    def score(self, signals: Signals) -> Tensor:
        """Give the mean likeness to all rows of text and seeds, [N]."""
        return self.foreground(signals, signals.count)[1]

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep coordinates and seeds, and fill up with the best of the score."""
        coordinates = self.coordinates(signals, round(COORDINATES[self.reading] * stage.keep))
        seeds, score = self.foreground(signals, stage.keep - len(coordinates))
        score = score.index_fill(0, torch.cat([coordinates, seeds]), torch.inf)
        return Kept(top(score, stage.keep))

    def coordinates(self, signals: Signals, count: int) -> Tensor:
        """Give the tokens of the `count` largest mean cosines and mean sines, united."""
        return torch.cat([top(mean, count) for mean in signals.rotary.float().T]).unique()

    def foreground(self, signals: Signals, room: int) -> tuple[Tensor, Tensor]:
        """Give the seeds, as many as there is room for at most, and the score [N]."""
        tail = signals.tail_values
        likeness = self.likeness(signals, tail[:, SKIPPED if tail.shape[1] > SKIPPED else 0 :])
        seeds = top(likeness.mean(0), min(max(1, round(SEEDS * signals.count)), room))
        rows = torch.cat([likeness, self.likeness(signals, signals.values[:, seeds])])
        return seeds, rows.mean(0)  # every row counts once

    def likeness(self, signals: Signals, rows: Tensor) -> Tensor:
        """Give w of some rows [Hkv, R, d] to the visual tokens, [R, N], mean over heads."""
        others = [signals.other_values, signals.tail_values] if self.reading == "llava" else []
        against = torch.cat([signals.values, *others], 1)
        logits = rows.float() @ against.float().transpose(1, 2) / rows.shape[-1] ** 0.5
        return logits.softmax(-1)[..., : signals.count].mean(0)
