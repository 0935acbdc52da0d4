"""VisionZip: keep what [CLS] looks at ("dominant"), fold the rest into a few "contextual" tokens.

Yang et al., "VisionZip: Longer is Better but Not Necessary in Vision Language Models", CVPR 2025,
arXiv 2412.04467. Official code: dvlab-research/VisionZip @3151f6d, visionzip/clip_encoder.py
(CLIPVisionTower_VisionZip.forward) and visionzip/utils.py. Does not read the question.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.methods.method import BeforeLLM, Card
from explorer.methods.ops.merging import merge, rest, split
from explorer.methods.ops.saliency import attention_per_head
from explorer.methods.signals import Kept, Signals, Size, Stage, top


class VisionZip(BeforeLLM):
    """Dominant patches, and contextual tokens of the others."""

    card = Card(
        key="visionzip",
        title="VisionZip",
        authors="Yang, Chen, Tian, Wang, Li, Yu, Jia",
        year=2024,
        arxiv="2412.04467",
        repository="dvlab-research/VisionZip",
        commit="3151f6d",
        verified=(
            "Scores, kept sets, groups and merged tokens equal the official code's on 3 recorded "
            "runs."
        ),
        uncertain=(
            "The split into dominant and contextual tokens is published for a few budgets only (54 "
            "+ 10 of 64); other budgets follow the same 27 : 5. The official code treats every "
            "crop by itself; here the patches of all views are one set, and their [CLS] tokens "
            "become one mean, which is ours. Towers without [CLS] are not in the code: attention "
            "received from all patches takes its place."
        ),
        sentence=(
            "Keeps the patches that the vision model's summary looks at most, and folds the others "
            "into a few mixed tokens."
        ),
        equation="s_j = Σ_h softmax(q_CLS · k_j / √d); merged = target + mean of its group",
        headline=(
            "About 95 % of LLaVA's performance with 10 % of the tokens, without training (README "
            "of the code)."
        ),
        traps=(
            "[CLS] counts as one of the K tokens, so there is one patch less than other methods "
            "keep."
        ),
        score_means="attention from [CLS]",
        stand_in="the attention that a patch receives on average",
    )
    needs = frozenset({"cls_attention", "keys", "hidden", "cls_hidden", "project"})
    # the dominant ones are; targets and groups of the others change with the budget
    nested = False
    merges = True

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Prune before the language model; [CLS] and the contextual tokens count as tokens."""
        if budget == size.tokens:
            return [Stage(0, budget)]
        # differs: with two tokens there is no contextual one, and with a single one no [CLS] either
        return [split(0, budget, max(1, round(budget * 5 / 32)), size.cls)]

    def score(self, signals: Signals) -> Tensor:
        """Give s_j = sum over heads of attn[h, CLS, j], [N]."""
        # differs: without [CLS], the attention that a patch receives on average from all patches
        return signals.per_token(attention_per_head(signals).sum(1))

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Give [CLS], the dominant patches in the order of the picture, the contextual tokens."""
        index = top(self.known_score(signals), stage.keep)
        if stage.merge == 0:
            return Kept(index)
        lead = int(signals.cls_hidden is not None)
        contextual = stage.merge - lead
        group = torch.full_like(signals.grid_position[:, 0], -1, dtype=torch.long)
        merged = [signals.cls_hidden.float().mean(0, keepdim=True)] if lead else []
        if contextual:
            tokens = rest(index, signals.count)
            with_patch = tokens[signals.grid_position[tokens, 0] >= 0]
            if len(with_patch) >= contextual:  # a newline has no key: it stays out
                tokens = with_patch
            hidden, keys = signals.unprojected(), signals.per_token(signals.keys)
            folded, into = merge(hidden, keys, tokens, contextual)
            merged.append(folded)
            group[tokens] = lead + into
        return Kept(index, merged=signals.project(torch.cat(merged)), group=group, lead=lead)
