"""VisPruner: keep what [CLS] looks at, then weed out look-alikes among the other patches.

Zhang et al., "Beyond Text-Visual Attention: Exploiting Visual Cues for Effective Token Pruning in
VLMs", ICCV 2025, arXiv 2412.01818v2 (v1 of the same number is FasterVLM, clsattn.py). Official
code: Theia-4869/VisPruner @aefa01a, llava/model/llava_arch.py (encode_images). Does not read the
question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.ops.crops import equal_shares
from explorer.methods.ops.saliency import saliency
from explorer.methods.signals import Kept, Signals, Stage

PER_PASS = 8  # the most that leave in one pass


@dataclass(frozen=True)
class VisPruner(BeforeLLM):
    """Important patches, and diverse ones of the rest."""

    card = Card(
        key="vispruner",
        title="VisPruner",
        authors="Zhang, Cheng, Lu, Zhang, Zhuo, Cao, Guo, She, Zhang",
        year=2025,
        arxiv="2412.01818v2",
        paper=(
            "Beyond Text-Visual Attention: Exploiting Visual Cues for Effective Token Pruning in "
            "VLMs"
        ),
        repository="Theia-4869/VisPruner",
        commit="aefa01adc7c7ce6334e880c88225e90cede760d1",
        verified=(
            "Scores, important and diverse tokens in their orders, and kept sets equal those of "
            "the official code on 2 recorded runs, one of them with two crops."
        ),
        uncertain=(
            "Known from code and abstract: whether the paper states passes of 8 and the "
            "alternating split is open. Where the official code fails, on lists of odd length and "
            "below 8 diverse tokens, the natural reading is ours, and so is the stand-in for "
            "towers without [CLS], attention received. Every crop gets the same share."
        ),
        sentence=(
            "Keeps what the vision model's summary looks at, then weeds out look-alikes among the "
            "rest."
        ),
        equation="the r K largest 1/H Σ_h softmax(q_CLS · k_j / √d), others without near doubles",
        headline=(
            "LLaVA-1.5-7B keeps 97.5, 96.3 and 92.8 % at 192, 128 and 64 tokens, as re-run by the "
            "authors of RESTORE, table 1; the abstract claims 91 % fewer FLOPs."
        ),
        traps=(
            "The map shows the attention that chooses the important part only. A pass compares two "
            "halves of a list, not all pairs: two doubles in the same half both survive it, and "
            "tiny changes of attention change who meets whom."
        ),
        score_means="attention from [CLS]",
        stand_in="the attention that a patch receives on average",
    )
    needs = frozenset({"cls_attention", "hidden"})
    nested = False  # more important ones leave another list to weed
    important_ratio: float = option(
        0.5, 0.0, 0.25, 0.75, 1.0, meaning="share of the budget that attention gives out"
    )

    def score(self, signals: Signals) -> Tensor:
        """Give s_j = mean over heads of attn[h, CLS, j], [N]."""
        return saliency(signals)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep the important and the diverse tokens of every crop, in the order of the picture."""
        scores, chosen = self.known_score(signals), []
        crops = equal_shares(signals, signals.hidden.shape[1], stage.keep)
        for number, (tokens, count) in enumerate(crops):
            cosine = signals.once(("alike", number), lambda at=tokens: alike(signals, at))
            chosen.append(tokens[torch.cat(self.parts(scores[tokens], cosine, count))])
        return Kept(torch.cat(chosen).sort().values)

    def parts(self, scores: Tensor, cosine: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Choose `count` tokens by scores [n] and cosine [n, n]: important and diverse ones."""
        order = scores.argsort(descending=True, stable=True)
        important = int(count * self.important_ratio)  # cut off, not rounded
        return order[:important], diverse(order[important:], cosine, count - important)


def alike(signals: Signals, tokens: Tensor) -> Tensor:
    """Give the cosines of what the projector reads for some tokens, [n, n]; of zero vectors, 0."""
    unit = normalize(signals.unprojected()[tokens], dim=1)
    return unit @ unit.T


def diverse(left: Tensor, cosine: Tensor, count: int) -> Tensor:
    """Weed look-alikes out of a list of tokens until `count` are left; cosine [n, n]."""
    if count == 0:
        return left[:0]
    while len(left) > count:
        # every second one, and those that it is compared with
        # differs: of a list of odd length the code makes nothing; here the first half has one more
        a, b = left[::2], left[1::2]
        likeness = cosine[a][:, b].amax(1)
        leaving = min(PER_PASS, len(left) - count, len(a))  # differs: the code fails beyond len(a)
        falling = likeness.argsort(descending=True, stable=True)
        left = torch.cat([a[falling[leaving:]], b])  # in a new order: the next split is another
    return left
