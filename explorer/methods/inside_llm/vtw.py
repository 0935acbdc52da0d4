"""VTW: from one layer of the language model on, words go alone; every visual token leaves.

Lin, Lin, Lin, Ji, "Boosting Multimodal Large Language Models with Visual Tokens Withdrawal for
Rapid Inference", AAAI 2025, arXiv 2405.05803. Official code: lzhxmu/VTW @a3d8cfc,
llava/model/language_model/VTW.py (VTWLlamaModel.forward). Chooses no patch: the one decision is the
layer K. The authors' search for K is the command `python -m explorer vtw-layer`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.methods.inside_llm import token_schedule
from explorer.methods.inside_llm.token_schedule import InsideLLM
from explorer.methods.method import Card, positions_option
from explorer.methods.signals import Signals, Size, Stage

# The authors' control, which takes as many tokens from the whole sequence, words included, is no
# option: a method here never drops words.


@dataclass(frozen=True)
class VTW(InsideLLM):
    """All visual tokens for K layers, none behind them."""

    card = Card(
        key="vtw",
        title="VTW",
        authors="Lin, Lin, Lin, Ji",
        year=2024,
        arxiv="2405.05803",
        repository="lzhxmu/VTW",
        commit="a3d8cfc3c3f8",
        verified=(
            "Logits, answers, cache lengths and, in the search for K, every divergence and the K "
            "found equal those of the official code on 2 recorded runs of tiny random models, one "
            "that keeps positions and one that counts them anew."
        ),
        uncertain=(
            "Known from code and abstract; the paper was not read. Which questions its K come from "
            "is open. A budget gives K here, rounded down, which is ours: the mean can be one "
            "layer's share of the tokens below it. The authors search from K = 5 on; smaller ones "
            "are outside what they tried."
        ),
        sentence="Keeps every patch for the first K layers, then lets the words go on alone.",
        equation="K = first layer ≥ 5 with mean KL(p_K ‖ p_full) ≤ η; here K = ⌊budget · L / N⌋",
        headline=(
            "More than 40 % less computation over several tasks with performance kept. Abstract; "
            "K = 15 or 16 of 32 layers for LLaVA-1.5-7B (code), a mean of 270 or 288 of 576."
        ),
        traps=(
            "No patch is better than another, so the map is even, and random inside the LLM does "
            "the very same. From layer K on nothing of the picture can be read: details and "
            "printed text are lost first. Pico "
            "reads the picture for longer than large models: it keeps 95 % of its answers from "
            "layer 10 of 12 on. Later papers run it at a K that fits their budgets, "
            "which is not the authors' setting. "
            "Their search on pico (20 scenes): D(K) = 0.77, 0.78, 0.60, 0.29, 0.055, 0.018, 0.0029 "
            "nats at K = 5 to 11 of 12, so that K = 11 at their η = 0.003."
        ),
        score_means="the same for every patch: none is chosen",
    )
    nested = False  # a budget moves the layer, not the choice
    positions: str = positions_option("keep", "renumber")

    def layers(self, size: Size) -> list[int]:
        """Give K = 15 of 32 layers (the class's default), or its share of other depths."""
        return token_schedule.places(size, [round(15 * size.layers / 32)])

    def smallest(self, size: Size) -> list[Stage]:
        """One layer sees the picture."""
        return [Stage(1, 0)]

    def reachable(self, size: Size) -> list[int]:
        """List K N / L for every K, rounded up."""
        return [-(-size.tokens * layer // size.layers) for layer in range(1, size.layers + 1)]

    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Give the largest K whose mean K N / L is within the budget."""
        return [Stage(max(1, budget * size.layers // size.tokens), 0)]

    def score(self, signals: Signals) -> Tensor:
        """Give every token the same, [N]: there is nothing to choose by."""
        return torch.ones(signals.count, device=signals.grid_position.device)
