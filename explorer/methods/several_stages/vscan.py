"""VScan: half of the tokens from a shallow look, half from a deep one; a third of them stay later.

Zhang et al., "VScan: Rethinking Visual Token Reduction for Efficient Large Vision-Language Models",
TMLR 2026, arXiv 2505.22654. Official code: Tencent/SelfEvolvingAgent @a82450e, VScan/llava/model:
llava_arch.py (window_cls_selection, token_merging), modeling_llama_x.py (layer_prune). Its second
stage reads the question, the first does not.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from explorer.methods.inside_llm.token_schedule import behind
from explorer.methods.method import Card, Method
from explorer.methods.ops.merging import all_merged, group_means, into_nearest
from explorer.methods.ops.saliency import saliency
from explorer.methods.ops.windows import windows
from explorer.methods.signals import Kept, Signals, Size, Stage, top

WINDOWS = 4  # along each side


class VScan(Method):
    """A local and a global scan of the tower, and a cut in the middle of the LLM."""

    card = Card(
        key="vscan",
        title="VScan",
        authors="Zhang, Ma, Fang, Yu, Zhang, Zhang, Xie, Sycara, Mi, Yu",
        year=2025,
        arxiv="2505.22654",
        repository="Tencent/SelfEvolvingAgent",
        commit="a82450e1b5e15070bee79ee8b79f8d9a97cb85f7",
        verified=(
            "Local and kept sets and merged tokens of the tower stage equal the official code's on "
            "1 recorded run; scores, kept sets, logits, answers and cache lengths of the stage in "
            "the LLM on another."
        ),
        uncertain=(
            "Of the paper only the abstract was read. One budget is published (96 tokens, a third "
            "of them from the middle on); others follow it. The shallow layer is known for CLIP-L "
            "alone. The code knows one grid, 24 x 24; windows of others are ours, and so are "
            "several views as one set, and, in towers without [CLS], attention received for both "
            "looks (of the layer that feeds the projector alone)."
        ),
        sentence=(
            "Takes details window by window and the whole at a glance, folds the other patches "
            "into them, and in the middle of the language model keeps what the question looks at."
        ),
        equation="local: top k of each window by shallow a_j; global: top by deep a_j",
        headline=(
            "LLaVA-NeXT-7B keeps 95.4 % of its performance at a tenth of the FLOPs (abstract)."
        ),
        traps=(
            "Every kept token is an average, at its own place. Below 32 tokens before the LLM "
            "there is no local half: all come from the deep layer."
        ),
        score_means="attention from [CLS]; in the LLM: from the prompt's last token",
        stand_in="the attention that a patch receives on average, in the last layer alone",
    )
    needs = frozenset({"cls_attention", "early_cls_attention", "next_last_attention"})
    where = "both"
    reads_question = True
    nested = False
    merges = True

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Leave 1.5 K tokens before the LLM, and from its middle on as few as make the mean K."""
        middle = round(size.layers / 2)
        if budget == size.tokens or not 0 < middle < size.layers:
            return [all_merged(size, budget)]
        first = min(round(1.5 * budget), size.tokens)
        late = min(behind(replace(size, tokens=first), middle, budget), first)
        stages = [all_merged(size, first)]
        return [*stages, Stage(middle, late)] if late < first else stages

    def score(self, signals: Signals) -> Tensor:
        """Give the mean over heads of a_j: of [CLS] in the tower, of the last token in the LLM."""
        if signals.next_last_attention is not None:
            return signals.next_last_attention.float().mean(0)
        return saliency(signals)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Merge everything into the tokens of both scans; in the LLM, keep the best."""
        if stage.merge == 0:
            return super().keep(signals, stage)
        centre = self.scan(signals, stage.merge)
        with_patch = signals.grid_position[:, 0] >= 0  # newlines stay out
        group = into_nearest(signals.features, centre, with_patch)
        return Kept(centre[:0], group_means(signals.features, group), group, centre=centre)

    def scan(self, signals: Signals, count: int) -> Tensor:
        """Give the tokens of both scans, ascending, [count]."""
        local = self.local(signals, count)
        deep = self.known_score(signals).clone()
        deep[local] = -torch.inf  # the code sets 0: the same unless it runs out of other patches
        return torch.cat([local, top(deep, count - len(local))]).sort().values

    def local(self, signals: Signals, count: int) -> Tensor:
        """Give, window by window and best first, the k tokens that the shallow [CLS] looks at."""
        views = int(signals.grid_position[:, 0].max()) + 1
        per_window = count // 2 // (WINDOWS**2 * views)
        shallow = saliency(signals, "early_cls_attention")
        best = shallow.argsort(descending=True, stable=True)
        window = windows(signals.grid_position, WINDOWS)[best]
        chosen = [best[window == w][:per_window] for w in range(WINDOWS**2 * views)]
        return torch.cat(chosen)
