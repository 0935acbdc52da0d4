"""FoPru: keep the patches, or the whole rows of patches, that the other patches look at most.

Jiang et al., "FoPru: Focal Pruning for Efficient Large Vision-Language Models", 2024, arXiv
2411.14164. No official repository is known; the steps follow code of the same research group,
dongxianzhe/hydrainfer @d4d5f4f, hydrainfer/layer/token_prunning.py (FocalPrunning). Does not read
the question, and does not use the vision tower's [CLS] token.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.errors import BadBudget
from explorer.methods.method import BeforeLLM, Card, Variant, option
from explorer.methods.signals import Signals, Size, Stage


@dataclass(frozen=True)
class FoPru(BeforeLLM):
    """The patches, or the rows, with the largest significance."""

    card = Card(
        key="fopru",
        title="FoPru",
        authors="Jiang, Huang, Liu, Zeng, Li, Cheng, Xu",
        year=2024,
        arxiv="2411.14164",
        repository="dongxianzhe/hydrainfer",
        commit="d4d5f4f",
        verified="Scores and kept sets equal those of the same group's code on 3 recorded runs.",
        uncertain=(
            "The paper's equations could not be read and no official code is known: whether its "
            "attention is taken after the softmax, as here by default, is open, and the choice "
            "between attention received and given is known from the same group's code alone. How "
            "the paper treats several crops is open too; here the patches of all views compete."
        ),
        sentence=(
            "Keeps the patches that the other patches look at most, one by one or as whole rows."
        ),
        equation="s_j = Σ_i A_ij or Σ_i A_ji, whichever varies more over the patches",
        headline=(
            "About 1 % lost on several data sets with 25 % of the tokens (second-hand: a digest of "
            "the paper)."
        ),
        traps=(
            "Attention received tells what other patches take over from one, whatever is asked "
            "about the picture."
        ),
        score_means="attention from the other patches",
    )
    needs = frozenset({"patch_attention", "patch_logits"})
    strategy: str = option("rank", "row", meaning="single patches, or whole rows of them")
    # without the softmax it is the same group's code to the letter: it hands over q.k / sqrt(d)
    softmaxed: bool = option(True, False, meaning="attention after the softmax, or before it")
    variants = (Variant("row", {"strategy": "row"}, "whole rows of patches"),)

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Prune before the language model; `row` keeps as many whole rows as the budget holds."""
        if self.strategy == "rank" or budget == size.tokens:
            return [Stage(0, budget)]
        rows = budget // size.columns
        if rows < 1:
            raise BadBudget(
                f"FoPru by rows keeps whole rows of {size.columns} patches, so it needs a budget "
                f"of at least {size.columns} tokens; {budget} is too small."
            )
        return [Stage(0, rows * size.columns)]

    def floor(self, size: Size) -> int:
        """One token, or one row."""
        return 1 if self.strategy == "rank" else min(size.columns, size.tokens)

    def significance(self, signals: Signals) -> Tensor:
        """Token Significance: attention received or given, whichever varies more; [N]."""
        attention = signals.patch_attention if self.softmaxed else signals.patch_logits
        received = attention.float().mean(1)  # over queries: [V, n, n] -> [V, n]
        given = attention.float().mean(2)  # over keys
        # differs: biased variances; they compare alike, and a single patch has no unbiased one
        received_wins = received.var(correction=0) > given.var(correction=0)
        return signals.per_token(received if received_wins else given)

    def score(self, signals: Signals) -> Tensor:
        """Give a token its significance, or, by rows, the sum of its row (R_r); [N].

        Tokens of a row share one score, so the best K tokens are the best K / columns rows.
        """
        values = self.significance(signals)
        if self.strategy == "rank":
            return values
        rows, row = signals.grid_position[:, :2].unique(dim=0, return_inverse=True)
        sums = values.new_zeros(len(rows)).index_add_(0, row, values)
        patchless = rows[:, 0] < 0
        if not patchless.all():  # a newline is in no row: it stands just behind the weakest one
            weakest = sums[~patchless].min()
            sums[patchless] = weakest.nextafter(torch.full_like(weakest, -torch.inf))
        return sums[row]
