"""AIM: average look-alike tokens in pairs, then let the rest leave layer by layer, by PageRank.

Zhong, Liu, Li, Wang, "AIM: Adaptive Inference of Multi-Modal LLMs via Token Merging and Pruning",
ICCV 2025, arXiv 2412.03248. Official code: LaVi-Lab/AIM @edc24e9, llava/model/token_merge.py
(bipartite_soft_matching_merge) and its fork of transformers, modeling_qwen2.py (get_importance,
Qwen2Model.forward). Reads the question barely: its words vote together with all other tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from explorer.methods.inside_llm.token_schedule import InsideLLM
from explorer.methods.method import Card, option, positions_option
from explorer.methods.ops.crops import equal_shares_of
from explorer.methods.ops.groups import bipartite
from explorer.methods.ops.merging import in_token_order
from explorer.methods.several_stages import fading
from explorer.methods.signals import Kept, Signals, Size, Stage


@dataclass(frozen=True)
class AIM(InsideLLM):
    """Means before the LLM, and none of them in its last layers."""

    card = Card(
        key="aim",
        title="AIM",
        authors="Zhong, Liu, Li, Wang",
        year=2024,
        arxiv="2412.03248",
        repository="LaVi-Lab/AIM",
        commit="edc24e9f3dfa",
        verified=(
            "Merged tokens and mixtures equal those of the official code in every round of 1 run; "
            "importance and visible sets of every layer, logits and answers on another, in which "
            "tokens are hidden, as in that code, instead of dropped."
        ),
        uncertain=(
            "The paper was not read. The code hides tokens, which go on as queries and vote; here "
            "they leave, which may exchange one or two. One schedule is published, for videos: a "
            "quarter of the tokens, layers 14 to 22 of 28. Others, and pictures, are ours."
        ),
        sentence=(
            "Averages look-alike patches; from the middle of the language model on, an eighth of "
            "them leaves after every layer, until none is left."
        ),
        equation="p ← p · softmax(A / 0.1), 5 times from 1/n; s_j = √(1/H Σ_h p_h,j²)",
        headline=("7 times fewer FLOPs at little loss; at equal cost 4.6 more on MLVU. Abstract."),
        traps=(
            "A mean of means counts each alike, however many patches it holds. The last layers see "
            "no patch at all. All tokens vote, and the early ones get the most votes."
        ),
        score_means="how unlike any other patch; in the LLM: PageRank on the layer's attention",
    )
    needs = frozenset({"pagerank", "frame_position"})
    where = "both"
    nested = False
    merges = True
    slow = True  # its map runs most of the model for every budget
    parts: str = option("both", "merge", "prune", meaning="both halves, or one: its ablations")
    order: str = option("rounds", "raster", meaning="merged tokens as they come, or by first patch")
    positions: str = positions_option("renumber", "keep")

    def layers(self, size: Size) -> list[int]:
        """Tokens leave before layers 15 to 22 of 28."""
        return fading.layers(size)

    def smallest(self, size: Size) -> list[Stage]:
        """A single merged token; without merging, all of them in the first layer alone."""
        return [Stage(1, 0)] if self.parts == "prune" else [Stage(0, 0, 1)]

    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Merge down to m = K / c tokens, c being the mean of the rates; above N, prune later."""
        counts = fading.entering(size, budget, merging=self.parts == "both")
        counts = [budget] if self.parts == "merge" else counts
        # merged tokens are counted anew; those that leave later leave gaps
        found = [] if counts[0] == size.tokens else [Stage(0, 0, counts[0])]
        pairs = enumerate(pairwise(counts), 1)
        return found + [Stage(at, k, keep_positions=True) for at, (n, k) in pairs if k < n]

    def score(self, signals: Signals) -> Tensor:
        """Give 1 - the highest cosine in the view, or the importance in the LLM, [N]."""
        if signals.pagerank is not None:
            return signals.pagerank.float()
        view, score = _views(signals), torch.ones_like(signals.features[:, 0]).float()
        for number in view.unique():
            score[view == number] = bipartite.unlike(signals.features[view == number].float())
        return score

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Merge every view's tokens down to its share; in the LLM, keep the most important."""
        if stage.merge == 0:
            return super().keep(signals, stage)
        x, view = signals.features.float(), _views(signals)
        group, weight, made = torch.full_like(view, -1), torch.ones_like(x[:, 0]), 0
        *views, (patchless, left) = equal_shares_of(view, stage.merge)
        for tokens, count in [each for each in views if each[1]]:
            lists = signals.once(("aim", int(tokens[0])), partial(bipartite.thinned, x[tokens]))
            own, weight[tokens] = bipartite.thinned_down(lists, count)
            group[tokens] = made + (in_token_order(own) if self.order == "raster" else own)
            made += count
        group[patchless[:left]] = made + torch.arange(left, device=group.device)

        def mix(rows: Tensor) -> Tensor:
            shown, sums = group >= 0, rows.new_zeros(stage.merge, rows.shape[1])
            return sums.index_add_(0, group[shown], weight[shown, None].to(rows) * rows[shown])

        return Kept(group.new_empty(0), mix(x), group, mix=mix)


def _views(signals: Signals) -> Tensor:
    """Tell the frame or view of each token, [N]; -1 for one without a patch."""
    frames = signals.frame_position
    return (signals.grid_position if frames is None else frames)[:, 0]
