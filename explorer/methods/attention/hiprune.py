"""HiPrune: anchors of a middle layer with their neighbours, and registers of a deep one.

Liu et al., "HiPrune: Training-Free Visual Token Pruning via Hierarchical Attention in
Vision-Language Models", 2025, arXiv 2508.00553. Official code: Danielement321/HiPrune @6e83a12,
LLaVA/llava/model/llava_arch.py (encode_images). Does not read the question, and needs no [CLS].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.ops.crops import equal_shares
from explorer.methods.ops.merging import rest
from explorer.methods.signals import Kept, Signals, Stage


@dataclass(frozen=True)
class HiPrune(BeforeLLM):
    """Anchors, their buffers, and registers."""

    card = Card(
        key="hiprune",
        title="HiPrune",
        authors="Liu, Du, Zhu, Lian, Li, Chen",
        year=2025,
        arxiv="2508.00553",
        repository="Danielement321/HiPrune",
        commit="6e83a1240874e99a25df34f54221a29bb24b7bc2",
        verified=(
            "Attention received in both layers, anchors, buffers, registers and kept sets equal "
            "those of the official code on 2 recorded runs."
        ),
        uncertain=(
            "Of the paper only the abstract was read. The middle layer is the 9th of CLIP-L's 24 "
            "and the 16th of Qwen's 32; for towers of other depths nobody has published one, and "
            "ours lies as far up. That anchors and buffers never exceed the budget is ours, and "
            "that every view gets the same share."
        ),
        sentence=(
            "Keeps the few patches a middle layer finds interesting, with their neighbours, and "
            "fills up with what the deep layers use as notes."
        ),
        equation="g_j = 1/(H (n + 1)) Σ_h Σ_q A_hqj; anchors: α K / 5 largest of a middle layer",
        headline=(
            "Up to 99.3 % of the accuracy with 33.3 % of the tokens (abstract). Measured by the "
            "authors of EADP, table 1: LLaVA-1.5-7B keeps 61.9 of 64.9 at 128 tokens, 57.9 at 64."
        ),
        traps=(
            "The map is the deep layer's. In the code a neighbour may wrap round to the other side "
            "of the picture, or be its first or last patch where an anchor touches top or bottom: "
            "a kept corner may be kept for no other reason (option `wrap`)."
        ),
        score_means="attention from all tokens of the tower",
    )
    needs = frozenset({"object_attention", "patch_attention", "cls_attention"})
    nested = False  # an anchor more brings up to five tokens, and pushes registers out
    alpha: float = option(0.1, 0.25, 0.5, 1.0, meaning="share of anchors and buffers")
    wrap: bool = option(True, False, meaning="neighbours across the border, as in the code")

    def score(self, signals: Signals) -> Tensor:
        """Give the attention that a patch receives in the deep layer, [N]."""
        received = signals.patch_attention.float().mean(1)
        if signals.cls_attention is not None:  # [CLS] is one of the n + 1 queries
            n = received.shape[1]
            received = (n * received + signals.cls_attention.float().mean(1)) / (n + 1)
        return signals.per_token(received)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep the anchors, buffers and registers of every view, in the order of the picture."""
        deep, middle = self.known_score(signals), signals.per_token(signals.object_attention)
        *crops, (patchless, left) = equal_shares(
            signals, signals.object_attention.shape[1], stage.keep
        )
        chosen = [patchless[:left]]
        for tokens, count in crops:
            columns = len(signals.grid_position[tokens, 2].unique())
            parts = self.parts(middle[tokens], deep[tokens], count, columns)
            chosen += [tokens[part] for part in parts[1:]]
        return Kept(torch.cat(chosen).sort().values)

    def parts(
        self, middle: Tensor, deep: Tensor, count: int, columns: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Choose `count` of n patches: anchors; anchors and buffers, ascending; registers.

        middle, deep [n]: the attention that each receives. columns: patches in a row.
        """
        n = len(middle)
        # differs: never more than the budget; halves are rounded to the even number, as in the code
        amount = min(round(count * self.alpha / 5), count // 5)
        anchors = middle.argsort(descending=True, stable=True)[:amount]
        steps = torch.tensor([0, -1, 1, -columns, columns], device=anchors.device)
        near = anchors[:, None] + steps
        if not self.wrap:  # beside it in the same row, above or below it in the picture
            near = near[(near >= 0) & (near < n) & self.beside(anchors, near, columns)]
        anchored = near.clamp(0, n - 1).unique()
        others = rest(anchored, n)
        order = deep[others].argsort(descending=True, stable=True)
        return anchors, anchored, others[order[: count - len(anchored)]]

    def beside(self, anchors: Tensor, near: Tensor, columns: int) -> Tensor:
        """Tell which places are in the row or the column of their anchor, [A, 5]."""
        row, column = anchors[:, None] // columns, anchors[:, None] % columns
        return (near // columns == row) | (near % columns == column)
