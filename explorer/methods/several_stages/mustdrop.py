"""MustDrop: a token leaves if the question as a whole and every single word look at it too little.

Liu et al., "Multi-Stage Vision Token Dropping: Towards Efficient Multimodal Large Language Model",
arXiv 2411.10803. Official code: liuting20/MustDrop @909afa5, llava/model/language_model/
modelling_sparse_llama.py (dual_attention_filter) and llava/model/multimodal_encoder/. Reads the
question; what the vision tower finds important never leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from explorer.methods.inside_llm import token_schedule
from explorer.methods.inside_llm.token_schedule import InsideLLM
from explorer.methods.method import Card, option
from explorer.methods.ops.dual_attention import attention, filtered, key_set
from explorer.methods.ops.saliency import saliency
from explorer.methods.several_stages import flat_windows
from explorer.methods.signals import Kept, Signals, Size, Stage, top

STAGES = (3, 7, 11, 15)  # before these of 32 layers
SHARES = (1, 0.8, 0.64, 0.51)  # of the tokens that the first stage leaves


@dataclass(frozen=True)
class MustDrop(InsideLLM):
    """Two filters at four places in the LLM, and a cut through the caches behind the last."""

    card = Card(
        key="mustdrop",
        title="MustDrop",
        authors="Liu, Shi, Hong, Hu, Yin, Zhang",
        year=2024,
        arxiv="2411.10803",
        repository="liuting20/MustDrop",
        commit="909afa538bff22e10c02db2da101aa1870e21912",
        verified=(
            "What both filters look at, kept sets, logits, answers and cache lengths of the stages "
            "in the LLM equal the official code's on 1 recorded run; windows, groups, merged "
            "tokens and the key set of the tower's part on another."
        ),
        uncertain=(
            "Code, README and abstract were read, not the paper. The code's two thresholds are set "
            "for each benchmark, and how many tokens pass depends on the picture; to reach a "
            "budget, the numbers at the stages are fixed (ours) and both thresholds are equal. "
            "Merging of flat areas in the tower is an option: a fixed share of the windows of one "
            "view, where the code has a threshold, and the key set then comes from the untouched "
            "tower. Small budgets shrink the key set, which the authors never do."
        ),
        sentence=(
            "Asks at four places whether the question, as a whole or in any word, still looks at a "
            "patch, and takes those that left out of what decoding reads."
        ),
        equation="λ_j = max(Σ_t A[t, j] / (G Σ A), max_t A[t, j] / I); patches with λ ≥ 1 stay",
        headline="LLaVA-1.5: 88.5 % fewer FLOPs at 92.2 % fewer tokens (abstract).",
        traps=(
            "Shares of attention grow for everybody as others leave, so that later stages drop "
            "little. Patches that the tower finds important stay, however dark they are here."
        ),
        score_means="the larger of two shares: of the question's attention, of one word's",
        stand_in="the attention that a patch receives on average",
    )
    needs = frozenset({"tail_attention", "last_cls_attention", "patch_attention"}) | frozenset(
        {"inputs", "rerun_tower", "project"}
    )
    reads_question = True
    nested = False
    tower: str = option("off", "on", meaning="merge flat areas of 3 x 3 patches in the tower first")
    early: str = option("cut", "keep", meaning="cut the caches of early layers behind the prefill")
    # differs: the code lets new tokens stand at the length of each cut cache, where they may be
    # nearer than words of the question that were counted while more tokens were there
    answer_at: str = option("prompt", "cache", meaning="where the answer's tokens are counted from")

    @property
    def in_tower(self) -> bool:
        """Flat areas become one token in the tower, if that is asked for."""
        return self.tower == "on"

    def layers(self, size: Size) -> list[int]:
        """Tokens leave before layers 3, 7, 11 and 15 of 32."""
        return token_schedule.places(size, [round(at * size.layers / 32) for at in STAGES])

    def smallest(self, size: Size) -> list[Stage]:
        """A single visual token is left after the first layers."""
        last = Stage(min([size.layers, *self.layers(size)]), 1)
        return [*flat_windows.stages(size, last.keep, self.in_tower), last]

    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Find k, of which the stages leave 1, .8, .64 and .51; where that is all, none leave."""
        merging = flat_windows.stages(size, budget, self.in_tower)
        size = replace(size, tokens=merging[0].total) if merging else size

        def at(x: float) -> list[Stage]:
            counts = [2 * x * size.tokens * share for share in SHARES]
            return token_schedule.steps(size, self.layers(size), counts)

        *before, last = token_schedule.fit(size, budget, at)
        if self.early == "cut" and last.keep < size.tokens:  # layers that saw no stage stay whole
            first = (before or [last])[0].layer
            last = replace(last, cut_from=first - 1, cut_positions=self.answer_at == "cache")
        return [*merging, *before, last]

    def score(self, signals: Signals) -> Tensor:
        """Give lambda with equal thresholds, G = I = 1, [N]; in the tower what it looks at."""
        if signals.tail_attention is None:
            return saliency(signals, "last_cls_attention")
        return filtered(*attention(signals), 1, 1)

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep the key set, and of the others those with the largest lambda."""
        if stage.layer == 0:
            return flat_windows.merged(signals, stage)
        score = self.score(signals)
        score[key_set(signals, stage.keep)] = torch.inf
        return Kept(top(score, stage.keep))
