"""GlobalCom2: the small picture tells each big crop how many tokens it may keep, and where.

Liu et al., "Global Compression Commander: Plug-and-Play Inference Acceleration for High-Resolution
Large Vision-Language Models", AAAI 2026, arXiv 2501.05179. Official code: xuyang-liu16/GlobalCom2
@96b2d00, llava/model/llava_arch.py (generate_scale_for_crop_features, compress_crops) and
multimodal_encoder/apply_customvit.py. HiRED's rival; does not read the question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.ops import thumbnail
from explorer.methods.ops.crops import crop_of
from explorer.methods.signals import Kept, Signals, Stage, top

TEMPERATURE = 10  # of sums over the cells of the thumbnail


@dataclass(frozen=True)
class GlobalCom2(BeforeLLM):
    """What [CLS] looks at in the crop, and at the same place in the thumbnail."""

    card = Card(
        key="globalcom2",
        title="GlobalCom2",
        authors="Liu, Wang, Chen, Han, Wang, Yuan, Song, Huang, Chen",
        year=2025,
        arxiv="2501.05179",
        repository="xuyang-liu16/GlobalCom2",
        commit="96b2d00b86a2",
        verified=(
            "Shares, scores, kept sets, the order of the whole picture's tokens and, put where the "
            "code puts them, of all others are those of the official code on 2 recorded runs."
        ),
        uncertain=(
            "The paper was not read. Whether it has attention where the code has logits is open, "
            "and whether its numbers come from code that misplaces tokens of padded pictures. A "
            "single view, what rounding leaves, newlines in the budget and no [CLS] are ours."
        ),
        sentence=(
            "The small picture tells each big crop how many tokens it may keep, and where: a crop "
            "keeps what both of them look at."
        ),
        equation="s_j = z_j / ‖z‖ + g_j / ‖g‖; R_c = R (1 + w_c − 1/k), w = softmax(Σ z_0 / 10)",
        headline=(
            "LLaVA-NeXT, a tenth of the tokens: over 90 % of performance, 9.1 % of FLOPs. Abstract."
        ),
        traps=(
            "z are logits, of either sign: attention would give nearly even shares. With a single "
            "view it is [CLS] of the last layer, ranked by the mean of its logits."
        ),
        score_means="logits of [CLS], of the crop and of the whole picture, each by its length",
        stand_in="the logits that a patch receives on average, in the layer before",
    )
    needs = frozenset({"last_cls_logits"})
    nested = False  # nearly: what rounding leaves over may go to another crop
    newlines: str = option("keep", "drop", meaning="let the ends of rows stay, or go first")
    order: str = option("score", "raster", meaning="beside crops, the whole picture's best first")

    def seen(self, signals: Signals) -> tuple[Tensor, Tensor, Tensor]:
        """Give z = head mean of q_CLS k_j / sqrt(d) and crop of each token, [N]; sizes [V]."""
        if signals.last_cls_logits is None:  # differs: the code knows towers with [CLS] alone
            logits = signals.patch_logits.float().mean(1)
        else:
            logits = signals.last_cls_logits.float().mean(1)
        crop = crop_of(signals, logits.shape[1])
        sizes = crop[crop >= 0].bincount(minlength=len(logits))
        return signals.per_token(logits), crop, sizes

    def shares(self, signals: Signals) -> Tensor:
        """Give R_c / R of every view, [V]: 1 for the thumbnail, 1 + w_c - mean(w) for crops."""
        z, crop, sizes = self.seen(signals)
        if len(sizes) == 1:  # ours: the code leaves a single view as it is
            return z.new_ones(1)
        # sums of raw logits, of either sign: a softmax of attention would be nearly even
        w = (thumbnail.cell_sums(signals, z, crop, len(sizes) - 1) / TEMPERATURE).softmax(0)
        return torch.cat([w.new_ones(1), 1 + w - w.mean()])

    def crop_shares(self, signals: Signals) -> tuple[float, Tensor] | None:
        """Give the thumbnail's part of a small budget, and how crops 1..k share the rest, [k]."""
        _, _, sizes = self.seen(signals)
        parts = sizes * self.shares(signals)
        share = float(parts[0] / parts.sum()), (parts[1:] / parts[1:].sum()).float()
        return share if len(parts) > 1 else None

    def score(self, signals: Signals) -> Tensor:
        """Give l / |l| + g / |g|, [N]: the crop's own z, and the thumbnail's at its place."""
        z, crop, _ = self.seen(signals)
        score = torch.zeros_like(z)
        for number in crop[crop >= 0].unique().tolist():
            tokens = (crop == number).nonzero()[:, 0]
            own = over = normalize(z[tokens], dim=0)
            if number:
                over = normalize(thumbnail.stretched(signals, z, crop, tokens), dim=0)
            score[tokens] = own + over
        return torch.where(crop < 0, score.min(), score)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep the best of every view, as many as the thumbnail has given it."""
        score = self.known_score(signals)
        shares = signals.once((self.spec, "shares"), lambda: self.shares(signals))
        _, crop, sizes = self.seen(signals)
        ends = (crop < 0).nonzero()[:, 0]
        # ours: half of the budget at most, but all that patches leave of it
        most = min(len(ends), stage.keep // 2) if self.newlines == "keep" else 0
        kept = [ends[: max(most, stage.keep - int(sizes.sum()))]]
        views = [(crop == number).nonzero()[:, 0] for number in range(len(sizes))]
        counts = thumbnail.share_out(sizes, shares, stage.keep - len(kept[0]))
        kept += [own[top(score[own], count)] for own, count in zip(views, counts, strict=True)]
        index = torch.cat(kept).sort().values
        as_it_was = len(counts) == 1 or len(index) == signals.count
        if as_it_was or self.order == "raster" or self.positions == "keep":
            return Kept(index)
        return Kept(index, features=thumbnail.by_falling_score(signals, score, kept[1])[index])
