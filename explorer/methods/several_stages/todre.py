"""ToDRE: keep diverse tokens before the LLM; drop all of them late, once nobody looks at them.

Li et al., "ToDRE: Effective Visual Token Pruning via Token Diversity and Task Relevance", arXiv
2505.18757 v2. There is no official code: this follows the text. Stage 1 does not read the question;
stage 2 tests how much text and picture still attend to each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.method import Card, Method, option
from explorer.methods.ops.ranking import falling
from explorer.methods.signals import Kept, Signals, Size, Stage


@dataclass(frozen=True)
class ToDRE(Method):
    """Diverse tokens, all of which may leave late in the LLM."""

    card = Card(
        key="todre",
        title="ToDRE",
        authors="Li, Yang, Zhang, Shao, Lu",
        year=2025,
        arxiv="2505.18757",
        verified="No official code, no recorded run: checked against the text's equations alone.",
        uncertain=(
            "Head mean, ties, positions and which layer 7L/8 is are ours. Version 1 of the paper "
            "names a greedy k-center; its details are our reading. The budget leaves stage 2 out, "
            "as the paper's does. Without [CLS] the pivot is the token nearest to the mean (the "
            "appendix's Center)."
        ),
        sentence=(
            "Keeps patches that differ from all kept before, and removes them all in the last "
            "layers if words and picture no longer look at each other."
        ),
        equation="next = argmin_v Σ_c∈C cos(x_v, x_c); all leave if a_t2v < 0.1 and a_v2t < 0.1",
        headline=(
            "LLaVA-NeXT-7B keeps 98.2 % at 25 % of the tokens, 95.0 % at 10 %. Paper, table 1."
        ),
        traps=(
            "Where the question follows the picture, a_v2t is exactly 0, so one test decides. The "
            "sum of similarities does not avoid near-duplicates."
        ),
        score_means="order of choice; late in the LLM: attention from the text",
        stand_in="the token nearest to the mean",
    )
    needs = frozenset({"last_cls_attention", "tail_attention", "visual_to_tail"})
    reads_question = True
    nested = False  # stage 1 is; whether stage 2 fires depends on what is left
    where = "both"
    rule: str = option("max-sum", "k-center", meaning="unlike the sum, or the nearest, of the kept")
    tau: float = option(0.1, 0.03, 0.05, 0.15, meaning="the attention below which all leave late")
    late: bool = option(True, False, meaning="whether all may leave late in the LLM")

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Prune before the LLM; before its layer 7L/8 all may go, which isn't counted."""
        layer = round(7 * size.layers / 8)
        if not self.late or not 0 < layer < size.layers or budget == size.tokens:
            return [Stage(0, budget)]
        return [Stage(0, budget), Stage(layer, 0, optional=True)]

    def score(self, signals: Signals) -> Tensor:
        """Give the rank of choice turned around; at the late stage the text's attention; [N]."""
        if signals.tail_attention is not None:
            return signals.tail_attention.float().mean((0, 1))
        chosen = signals.once(self.rule, lambda: order(signals.features, pivot(signals), self.rule))
        return falling(chosen)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep the first K of the order; at the late stage everything or nothing."""
        if stage.optional:
            everything = torch.arange(signals.count, device=signals.grid_position.device)
            return Kept(everything[:0] if max(migration(signals)) < self.tau else everything)
        return super().keep(signals, stage)


def order(features: Tensor, pivot: int, rule: str = "max-sum") -> Tensor:
    """Give all tokens in the order of choice (Eq. 4-7), [N]; the pivot comes first."""
    unit = normalize(features.float(), dim=1)
    cosine = unit @ unit.T
    chosen, likeness = [pivot], cosine[pivot].clone()
    likeness[pivot] = torch.inf
    for _ in range(len(unit) - 1):
        pick = int(likeness.argmin())  # of equals the lowest index
        chosen.append(pick)
        added = cosine[pick]
        likeness = likeness + added if rule == "max-sum" else torch.maximum(likeness, added)
        likeness[pick] = torch.inf
    return torch.tensor(chosen, device=features.device)


def pivot(signals: Signals) -> int:
    """Give the token that [CLS] looks at most in the tower's last layer (Eq. 3), in view 0."""
    thumbnail = signals.grid_position[:, 0] == 0
    if signals.last_cls_attention is None:  # differs: the appendix's "Center"
        unit = normalize(signals.features.float(), dim=1)
        attention = unit @ normalize(signals.features.float().mean(0), dim=0)
    else:
        attention = signals.per_token(signals.last_cls_attention.float().mean(1))
    return int(attention.masked_fill(~thumbnail, -torch.inf).argmax())


def migration(signals: Signals) -> tuple[float, float]:
    """Give a_t2v and a_v2t (Eq. 8): shares of their attention that text and picture exchange."""
    to_picture = signals.tail_attention.float().mean(0).sum(-1).mean()
    return float(to_picture), float(signals.visual_to_tail.float().mean())
