"""[CLS] attention: keep the patches that the vision tower's summary token looks at most.

Zhang et al., "[CLS] Attention is All You Need for Training-Free Visual Token Pruning" (FasterVLM),
2024, arXiv 2412.01818v1. Also the "simple token compression" of Wu et al., "When Language
Overrules", 2025, arXiv 2508.10552 (their equations 5-8, known here through a re-implementation).
Official code: Theia-4869/FasterVLM @f5d5f12, llava/model/multimodal_encoder/clip_encoder.py
(feature_select) and llava/model/llava_arch.py (encode_images). Does not read the question.
"""

from __future__ import annotations

from torch import Tensor

from explorer.errors import MethodUnavailable
from explorer.methods.signals import Kept, Signals, Size, Stage, top

KEY = "clsattn"
TITLE = "[CLS] attention (FasterVLM)"
AUTHORS = "Zhang et al."
YEAR = 2024
ARXIV = "2412.01818"
REPOSITORY = "Theia-4869/FasterVLM"
COMMIT = "f5d5f12"
VERIFIED = "Scores and kept sets equal those of the official code on 2 recorded runs."
UNCERTAIN = (
    "The official code keeps the same number of patches in every crop; here the patches of all "
    "views compete. Vision towers without a [CLS] token are not supported, as in the original."
)
NEEDS = frozenset({"cls_attention"})
READS_QUESTION = False
NESTED = True
MERGES = False
TRAINED = False
POSITIONS = "renumber"
WHERE = "before the LLM"
SENTENCE = "Keeps the patches that the vision model's own summary of the picture looks at most."
EQUATION = "s_j = 1/H Σ_h softmax(q_CLS · k_j / √d)"
HEADLINE = (
    "The abstract of arXiv 2412.01818v1 claims 90 % of LLaVA-1.5-7B with 5 % of the tokens; not "
    "read again by us."
)
TRAPS = (
    "The same order as HiRED on one picture and as VisionZip's dominant tokens: the three differ "
    "in merging and in [CLS] only."
)
SCORE_MEANS = "attention from [CLS]"
OPTIONS: dict[str, tuple] = {}
VARIANTS: dict[str, dict] = {}


def schedule(size: Size, budget: int) -> list[Stage]:
    """Prune once, before the language model: every layer then sees `budget` tokens."""
    return [Stage(0, budget)]


def floor(size: Size) -> int:
    """Any budget from one token on can be reached."""
    return 1


def score(signals: Signals) -> Tensor:
    """Give s_j = mean over heads of attn[h, CLS, j], [N]."""
    if signals.cls_attention is None:
        raise MethodUnavailable(f"{TITLE} needs a vision tower with a [CLS] token; this has none.")
    return signals.per_token(signals.cls_attention.float().mean(1))  # [V, H, n] -> [V, n] -> [N]


def keep(signals: Signals, stage: Stage) -> Kept:
    """Keep the K largest scores, in the order of the picture; [CLS] itself is not kept."""
    return Kept(top(score(signals), stage.keep))
