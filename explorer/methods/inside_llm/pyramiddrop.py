"""PyramidDrop: drop a share of the visual tokens at the end of every quarter of the LLM.

Xing et al., "PyramidDrop: Accelerating Your Large Vision-Language Models via Pyramid Visual
Redundancy Reduction", CVPR 2025, arXiv 2410.17247. Official code: Cooperx521/PyramidDrop @6444f30,
llava/model/modeling_llama_pdrop.py (pdrop_forward, pdrop_rank_drop). Reads the question: the
ranking token is the last one of the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from explorer.methods.inside_llm import token_schedule
from explorer.methods.inside_llm.token_schedule import InsideLLM
from explorer.methods.method import Card, option
from explorer.methods.signals import Signals, Size, Stage


@dataclass(frozen=True)
class PyramidDrop(InsideLLM):
    """The same share leaves after each quarter of the LLM."""

    card = Card(
        key="pyramiddrop",
        title="PyramidDrop",
        authors="Xing, Huang, Dong, Lu, Zhang, Zang, Cao, He, Wang, Wu, Lin",
        year=2024,
        arxiv="2410.17247",
        repository="Cooperx521/PyramidDrop",
        commit="6444f304aee4",
        verified=(
            "Scores and kept sets of every stage, logits, answers and cache lengths equal those of "
            "the official code on 2 recorded runs of tiny random models."
        ),
        uncertain=(
            "One schedule is published: half of the tokens leave after layers 8, 16 and 24 of 32. "
            "The lists behind the published means of 192, 128 and 64 tokens are not. Other "
            "budgets, above all those below a quarter of the tokens, follow a schedule of ours. "
            "Grouped key heads are repeated, which the code doesn't support."
        ),
        sentence=(
            "Drops the same share of the patches after each quarter of the language model's "
            "layers, always those that the end of the question looks at least."
        ),
        equation="s_i = 1/H Σ_h softmax(q_last · k_i / √d)_h, of the layer that comes next",
        headline=(
            "LLaVA-1.5-7B: average 55.6 (full 55.8) at 1.78 of 3.82 TFLOPs. Paper, table 5, from a "
            "copy that had lost the names of its columns; not confirmed by a second source."
        ),
        traps="Drops are final: a later question about a dropped region can't be answered.",
        score_means="attention from the prompt's last token",
    )
    needs = frozenset({"next_last_attention", "last_attention"})
    reads_question = True
    nested = False
    # the code ranks by the layer after a stage, softmaxed; the paper (Eq. 2) by the product of
    # query and key in the last layer of the stage
    layer: str = option("next", "last", meaning="the layer after a stage, or the last one in it")
    similarity: str = option("softmaxed", "raw", meaning="attention, or the products behind it")

    def layers(self, size: Size) -> list[int]:
        """A share of the tokens leaves after every quarter."""
        return token_schedule.places(size, [round(size.layers * part / 4) for part in (1, 2, 3)])

    def smallest(self, size: Size) -> list[Stage]:
        """A single visual token is left after the first layers."""
        return [Stage(min([2, size.layers, *self.layers(size)]), 1)]

    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Find the share lambda of its tokens that every quarter hands on; int(N lambda^s) stay."""
        ends = self.layers(size)
        if budget * size.layers < size.tokens * max(size.layers / 4, ends[0]):
            return self._short(size, budget)
        spans = _spans(size, ends)

        def mean(share: float) -> float:
            return sum(span * share**s for s, span in enumerate(spans)) / size.layers

        share = token_schedule.solve(mean, budget / size.tokens)
        return token_schedule.steps(size, ends, [size.tokens * share**s for s in (1, 2, 3)])

    def _short(self, size: Size, budget: int) -> list[Stage]:
        """Below a quarter of the tokens (ours): end the first stage earlier; a, a/2, a/4 follow."""
        [earliest] = self.smallest(size)
        first = max(earliest.layer, int(size.layers * budget / (2 * size.tokens)))
        left = size.layers - first
        starts = [first + round(left * third / 3) for third in (0, 1, 2)]
        weight = sum(span / 2**s for s, span in enumerate(_spans(size, starts)[1:]))
        a = (budget * size.layers - first * size.tokens) / weight
        return token_schedule.steps(size, starts, [a, a / 2, a / 4])

    def score(self, signals: Signals) -> Tensor:
        """Give s_i = mean over heads of the last token's attention in the layer after it, [N].

        raw: the logarithm, which ranks as q k does: within a head they differ by a constant.
        """
        following = self.layer == "next"
        attention = signals.next_last_attention if following else signals.last_attention
        attention = attention.float()
        if self.similarity == "raw":
            attention = attention.clamp(min=torch.finfo(torch.float32).tiny).log()
        return attention.mean(0)


def _spans(size: Size, ends: list[int]) -> list[int]:
    return [end - start for start, end in pairwise([0, *ends, size.layers])]
