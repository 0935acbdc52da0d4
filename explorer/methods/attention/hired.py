"""HiRED: share the tokens out among the crops of a picture, then keep what [CLS] looks at in each.

Arif et al., "HiRED: Attention-Guided Token Dropping for Efficient Inference of High-Resolution
Vision-Language Models", AAAI 2025, arXiv 2408.10945. Official code: hasanar1f/HiRED @502d6dd,
transformers/src/transformers/models/llava_next/modeling_llava_next.py (HiRED_token_selection,
HiRED_sub_img_budgets), and llava/modeling_llava.py for a single view. Does not read the question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.methods.method import BeforeLLM, Card, Variant, option
from explorer.methods.ops.crops import as_shares_grow, budgets, crop_of, inside
from explorer.methods.ops.ranking import falling
from explorer.methods.ops.saliency import attention_per_head
from explorer.methods.signals import Signals, top


@dataclass(frozen=True)
class HiRED(BeforeLLM):
    """The patches that [CLS] looks at most, crop by crop."""

    card = Card(
        key="hired",
        title="HiRED",
        authors="Arif, Yoon, Nikolopoulos, Vandierendonck, John, Ji",
        year=2024,
        arxiv="2408.10945",
        repository="hasanar1f/HiRED",
        commit="502d6dd",
        verified=(
            "Shares of the crops and kept sets equal those of the official code on 4 recorded "
            "runs: three with crops, one without. The paper's own shares have no recording."
        ),
        uncertain=(
            "Code and paper share the tokens out differently; it is open which one the published "
            "numbers used. Tokens that the cut off shares leave over go to those that a larger "
            "budget takes in next, which is ours, and so is the stand-in for towers without [CLS]: "
            "attention received."
        ),
        sentence=(
            "Gives each crop of the picture a share of the tokens by how much there is to see in "
            "it, and keeps there the patches that the crop's own summary looks at most."
        ),
        equation=(
            "B_0 = α K, B_i = (K − B_0) c_i / Σ c; in each the largest Σ_h softmax(q_CLS · k_j / "
            "√d)"
        ),
        headline=(
            "LLaVA-NeXT-7B at 20 %: TextVQA 61.4 (full 64.8), ChartQA 42.0 (54.8). HiRED, table 3."
        ),
        traps=(
            "With a single view it is [CLS] attention. The code takes strips of the whole picture "
            "for its quadrants, so a crop may get its neighbour's share; the variant `paper` does "
            "not."
        ),
        score_means="attention from [CLS]; with several crops, the turn at which a patch comes in",
        stand_in="the attention that a patch receives on average",
    )
    needs = frozenset({"cls_attention", "first_cls_attention", "areas"})
    budget_score: str = option(
        "count", "sum", meaning="what a crop has to show: its salient patches, or their attention"
    )
    areas: str = option(
        "strips", "spatial", meaning="a crop's part of the whole picture: a strip, or where it lies"
    )
    alpha: float = option(0.5, 0.25, 0.75, meaning="the whole picture's share of the budget")
    variants = (
        Variant("paper", {"budget_score": "sum", "areas": "spatial"}, "as the paper has it"),
    )

    def attention(self, signals: Signals, first: bool = False) -> Tensor:
        """Give a[j] = sum over heads of the attention of each view's own [CLS], [V, n]."""
        if first and signals.first_cls_attention is not None:
            return signals.first_cls_attention.float().sum(1)
        return attention_per_head(signals).sum(1)

    def shares(self, signals: Signals, crop: Tensor, count: int) -> Tensor:
        """Give the part of all that there is to see which lies in crops 1..count, [k]."""
        seen = signals.per_token(self.attention(signals, first=True))[crop == 0]
        n = len(seen)
        if self.budget_score == "count":  # the code's D: alpha once more, as a threshold
            chosen = top(seen, int(n * (1 - self.alpha)))
            seen = torch.zeros_like(seen).index_fill_(0, chosen, 1)
        if self.areas == "strips":  # differs: the code stops where n is no multiple of k
            strip = torch.arange(n, device=seen.device) * count // n
            lies = strip == torch.arange(count, device=seen.device)[:, None]
        else:
            lies = inside(signals, crop, count)
        content = lies.float() @ seen  # s_i of Eq. 1
        total = content.sum()  # differs: nothing to see would be 0 / 0; all crops are then equal
        return content / total if total > 0 else torch.full_like(content, 1 / count)

    def crop_shares(self, signals: Signals) -> tuple[float, Tensor] | None:
        """Give alpha, and how crops 1..k share what alpha leaves, [k]; None for a single view."""
        late = self.attention(signals)
        if len(late) == 1:
            return None
        return self.alpha, self.shares(signals, crop_of(signals, late.shape[1]), len(late) - 1)

    def score(self, signals: Signals) -> Tensor:
        """Give [CLS] attention; with several crops, the order in which K takes tokens in; [N]."""
        late = self.attention(signals)
        seen, shared = signals.per_token(late), self.crop_shares(signals)
        if shared is None:
            return seen
        crop = crop_of(signals, late.shape[1])
        sizes = crop[crop >= 0].bincount(minlength=len(late))
        alpha, share = shared
        table = budgets(share, sizes, torch.arange(len(crop) + 1, device=crop.device), alpha)
        # differs: tokens that the cut off shares leave over go to those whom a larger K takes in
        return falling(as_shares_grow(seen, crop, table))
