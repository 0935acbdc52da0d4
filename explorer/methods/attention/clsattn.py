"""[CLS] attention: keep the patches that the vision tower's summary token looks at most.

Zhang et al., "[CLS] Attention is All You Need for Training-Free Visual Token Pruning: Make VLM
Inference Faster" (FasterVLM), 2024, arXiv 2412.01818v1: from version 2 on the same number shows
another method, VisPruner. Also the "simple token compression" of Wu et al., "When Language
Overrules", 2025, arXiv 2508.10552 (their equations 5-8, known here through a re-implementation).
Official code: Theia-4869/FasterVLM @f5d5f12, llava/model/multimodal_encoder/clip_encoder.py
(feature_select) and llava/model/llava_arch.py (encode_images). Does not read the question.
"""

from __future__ import annotations

from torch import Tensor

from explorer.errors import MethodUnavailable
from explorer.methods.method import BeforeLLM, Card
from explorer.methods.signals import Signals


class ClsAttention(BeforeLLM):
    """The patches that [CLS] looks at most."""

    card = Card(
        key="clsattn",
        title="[CLS] attention (FasterVLM)",
        authors="Zhang, Cheng, Lu, Zhuo, Wang, Cao, Guo, She, Zhang",
        year=2024,
        arxiv="2412.01818v1",
        paper=(
            "[CLS] Attention is All You Need for Training-Free Visual Token Pruning: Make VLM "
            "Inference Faster"
        ),
        repository="Theia-4869/FasterVLM",
        commit="f5d5f12",
        verified="Scores and kept sets equal those of the official code on 2 recorded runs.",
        uncertain=(
            "The official code keeps the same number of patches in every crop; here the patches of "
            "all views compete. Vision towers without a [CLS] token are not supported, as in the "
            "original. From version 2 on, arXiv 2412.01818 shows another method: VisPruner."
        ),
        sentence=(
            "Keeps the patches that the vision model's own summary of the picture looks at most."
        ),
        equation="s_j = 1/H Σ_h softmax(q_CLS · k_j / √d)",
        headline=(
            "LLaVA-1.5-7B keeps 90 % of its performance with 5 % of the tokens. Abstract of "
            "version 1; its tables were not read."
        ),
        traps=(
            "The same order as HiRED on one picture and as VisionZip's dominant tokens: the three "
            "differ in merging and in [CLS] only."
        ),
        score_means="attention from [CLS]",
    )
    needs = frozenset({"cls_attention"})

    def score(self, signals: Signals) -> Tensor:
        """Give s_j = mean over heads of attn[h, CLS, j], [N]; [CLS] itself is not kept."""
        if signals.cls_attention is None:
            raise MethodUnavailable(
                f"{self.card.title} needs a vision tower with a [CLS] token; this has none."
            )
        return signals.per_token(
            signals.cls_attention.float().mean(1)
        )  # [V, H, n] -> [V, n] -> [N]
