"""FoPru: keep the patches, or the whole rows of patches, that the other patches look at most.

Jiang et al., "FoPru: Focal Pruning for Efficient Large Vision-Language Models", 2024, arXiv
2411.14164. No official repository is known; the steps follow code of the same research group,
dongxianzhe/hydrainfer @d4d5f4f, hydrainfer/layer/token_prunning.py (FocalPrunning). Does not read
the question, and does not use the vision tower's [CLS] token.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.errors import BadBudget
from explorer.methods.signals import Kept, Signals, Size, Stage, top

KEY = "fopru"
TITLE = "FoPru"
AUTHORS = "Jiang, Huang, Liu, Zeng, Li, Cheng, Xu"
YEAR = 2024
ARXIV = "2411.14164"
REPOSITORY = "dongxianzhe/hydrainfer"
COMMIT = "d4d5f4f"
VERIFIED = "Scores and kept sets equal those of the same group's code on 3 recorded runs."
UNCERTAIN = (
    "The paper's equations could not be read and no official code is known: whether its attention "
    "is taken after the softmax, as here by default, is open, and the choice between attention "
    "received and given is known from the same group's code alone. How the paper treats several "
    "crops is open too; here the patches of all views compete."
)
NEEDS = frozenset({"patch_attention", "patch_logits"})
READS_QUESTION = False
NESTED = True
MERGES = False
TRAINED = False
POSITIONS = "renumber"
WHERE = "before the LLM"
SENTENCE = "Keeps the patches that the other patches look at most, one by one or as whole rows."
EQUATION = "s_j = Σ_i A_ij or Σ_i A_ji, whichever varies more over the patches"
HEADLINE = (
    "About 1 % lost on several data sets with 25 % of the tokens (second-hand: a digest of the "
    "paper)."
)
TRAPS = (
    "Background patches that act as registers collect much attention, so empty sky may light up: "
    "that is the method."
)
SCORE_MEANS = "attention from the other patches"
# softmaxed=False is the same group's code to the letter: it hands over q.k / sqrt(d)
OPTIONS = {"strategy": ("rank", "row"), "softmaxed": (True, False)}
VARIANTS = {"row": {"strategy": "row"}}


def schedule(
    size: Size, budget: int, *, strategy: str = "rank", softmaxed: bool = True
) -> list[Stage]:
    """Prune once, before the language model; `row` keeps as many whole rows as the budget holds."""
    if strategy == "rank" or budget == size.tokens:
        return [Stage(0, budget)]
    rows = budget // size.columns
    if rows < 1:
        raise BadBudget(
            f"FoPru by rows keeps whole rows of {size.columns} patches, so it needs a budget of "
            f"at least {size.columns} tokens; {budget} is too small."
        )
    return [Stage(0, rows * size.columns)]


def floor(size: Size, *, strategy: str = "rank", softmaxed: bool = True) -> int:
    """One token, or one row."""
    return 1 if strategy == "rank" else min(size.columns, size.tokens)


def significance(signals: Signals, *, softmaxed: bool = True) -> Tensor:
    """Token Significance: the attention a token receives or gives, whichever varies more; [N]."""
    attention = (
        signals.patch_attention if softmaxed else signals.patch_logits
    ).float()  # [V, n, n]
    received = attention.mean(1)  # over queries
    given = attention.mean(2)  # over keys
    # differs: biased variances; they compare alike, and a single patch has no unbiased one
    received_wins = received.var(correction=0) > given.var(correction=0)
    return signals.per_token(received if received_wins else given)


def score(signals: Signals, *, strategy: str = "rank", softmaxed: bool = True) -> Tensor:
    """Give a token its significance, or, by rows, the sum of its row (R_r); [N]."""
    values = significance(signals, softmaxed=softmaxed)
    if strategy == "rank":
        return values
    rows, row = signals.place[:, :2].unique(dim=0, return_inverse=True)
    sums = values.new_zeros(len(rows)).index_add_(0, row, values)
    patchless = rows[:, 0] < 0
    if not patchless.all():  # a newline token is in no row: it stands just behind the weakest one
        weakest = sums[~patchless].min()
        sums[patchless] = weakest.nextafter(torch.full_like(weakest, -torch.inf))
    return sums[row]


def keep(signals: Signals, stage: Stage, *, strategy: str = "rank", softmaxed: bool = True) -> Kept:
    """Token Pruning and Reordering: the best K tokens (or rows), in the order of the picture."""
    # tokens of a row share one score, so the best K tokens are the best K / columns rows
    return Kept(top(score(signals, strategy=strategy, softmaxed=softmaxed), stage.keep))
