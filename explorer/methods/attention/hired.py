"""HiRED: share the tokens out among the crops of a picture, then keep what [CLS] looks at in each.

Arif et al., "HiRED: Attention-Guided Token Dropping for Efficient Inference of High-Resolution
Vision-Language Models", AAAI 2025, arXiv 2408.10945. Official code: hasanar1f/HiRED @502d6dd,
transformers/src/transformers/models/llava_next/modeling_llava_next.py (HiRED_token_selection,
HiRED_sub_img_budgets), and llava/modeling_llava.py for a single view. Does not read the question.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.methods.ops.crops import as_shares_grow, budgets, crop_of, inside
from explorer.methods.signals import Kept, Signals, Size, Stage, falling, top

KEY = "hired"
TITLE = "HiRED"
AUTHORS = "Arif, Yoon, Nikolopoulos, Vandierendonck, John, Ji"
YEAR = 2024
ARXIV = "2408.10945"
REPOSITORY = "hasanar1f/HiRED"
COMMIT = "502d6dd"
VERIFIED = (
    "Shares of the crops and kept sets equal those of the official code on 4 recorded runs: three "
    "with crops, one without. The paper's own shares have no recording."
)
UNCERTAIN = (
    "Code and paper share the tokens out differently; it is open which one the published numbers "
    "used. Tokens that the cut off shares leave over go to those that a larger budget takes in "
    "next, which is ours, and so is the stand-in for towers without [CLS]: attention received."
)
NEEDS = frozenset({"cls_attention", "first_cls_attention", "patch_attention", "areas"})
READS_QUESTION = MERGES = TRAINED = False
NESTED = True
POSITIONS = "renumber"
WHERE = "before the LLM"
SENTENCE = (
    "Gives each crop of the picture a share of the tokens by how much there is to see in it, and "
    "keeps there the patches that the crop's own summary looks at most."
)
EQUATION = "B_0 = α K, B_i = (K − B_0) c_i / Σ c; in each the largest Σ_h softmax(q_CLS · k_j / √d)"
HEADLINE = "LLaVA-NeXT-7B at 20 %: TextVQA 61.4 (full 64.8), ChartQA 42.0 (54.8). HiRED, table 3."
TRAPS = (
    "With a single view it is [CLS] attention. The code takes strips of the whole picture for its "
    "quadrants, so a crop may get its neighbour's share; the variant `paper` does not."
)
SCORE_MEANS = "attention from [CLS]; with several crops, the turn at which a patch comes in"
STAND_IN = "the attention that a patch receives on average"
OPTIONS = {
    "budget_score": ("count", "sum"),
    "areas": ("strips", "spatial"),
    "alpha": (0.5, 0.25, 0.75),
}
VARIANTS = {"paper": {"budget_score": "sum", "areas": "spatial"}}


def schedule(size: Size, budget: int, **_) -> list[Stage]:
    """Prune once, before the language model: every layer then sees `budget` tokens."""
    return [Stage(0, budget)]


def floor(size: Size, **_) -> int:
    """Any budget from one token on can be reached."""
    return 1


def attention(signals: Signals, first: bool = False) -> Tensor:
    """Give a[j] = sum over heads of the attention of each view's own [CLS], [V, n]."""
    rows = signals.first_cls_attention if first else signals.cls_attention
    if rows is None:  # differs: without [CLS], the attention that a patch receives on average
        return signals.patch_attention.float().mean(1)
    return rows.float().sum(1)


def shares(
    signals: Signals, crop: Tensor, count: int, *, budget_score="count", areas="strips", alpha=0.5
) -> Tensor:
    """Give the part of all that there is to see which lies in the area of crops 1..count, [k]."""
    seen = signals.per_token(attention(signals, first=True))[crop == 0]
    n = len(seen)
    if budget_score == "count":  # the code's D: alpha once more, as a threshold
        chosen = top(seen, int(n * (1 - alpha)))
        seen = torch.zeros_like(seen).index_fill_(0, chosen, 1)
    if areas == "strips":  # differs: the code stops where n is no multiple of k
        strip = torch.arange(n, device=seen.device) * count // n
        lies = strip == torch.arange(count, device=seen.device)[:, None]
    else:
        lies = inside(signals, crop, count)
    content = lies.float() @ seen  # s_i of Eq. 1
    total = content.sum()  # differs: nothing to see would be 0 / 0; all crops are then equal
    return content / total if total > 0 else torch.full_like(content, 1 / count)


def portions(signals: Signals, **options) -> tuple[float, Tensor] | None:
    """Give alpha, and how crops 1..k share what alpha leaves, [k]; None for a single view."""
    late = attention(signals)
    if len(late) == 1:
        return None
    share = shares(signals, crop_of(signals, late.shape[1]), len(late) - 1, **options)
    return options.get("alpha", OPTIONS["alpha"][0]), share


def score(signals: Signals, **options) -> Tensor:
    """Give [CLS] attention; with several crops, the order in which K takes the tokens in; [N]."""
    late = attention(signals)
    seen, count = signals.per_token(late), len(late) - 1
    if count == 0:
        return seen
    crop = crop_of(signals, late.shape[1])
    sizes = crop[crop >= 0].bincount(minlength=count + 1)
    alpha, share = portions(signals, **options)
    table = budgets(share, sizes, torch.arange(len(crop) + 1, device=crop.device), alpha)
    # differs: tokens that the cut off shares leave over go to those whom a larger K takes in next
    return falling(as_shares_grow(seen, crop, table))


def keep(signals: Signals, stage: Stage, **options) -> Kept:
    """Keep the first K tokens, in the order of the picture."""
    return Kept(top(score(signals, **options), stage.keep))
