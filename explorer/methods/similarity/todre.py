"""ToDRE: keep diverse tokens before the LLM; drop all of them late, once nobody looks at them.

Li et al., "ToDRE: Effective Visual Token Pruning via Token Diversity and Task Relevance", arXiv
2505.18757 v2. There is no official code: this follows the text. Stage 1 does not read the question;
stage 2 tests how much text and picture still attend to each other.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.signals import Kept, Signals, Size, Stage, falling, top

KEY = "todre"
TITLE = "ToDRE"
AUTHORS = "Li, Yang, Zhang, Shao, Lu"
YEAR = 2025
ARXIV = "2505.18757"
REPOSITORY = COMMIT = ""
VERIFIED = "No official code, no recorded run: checked against the text's equations alone."
UNCERTAIN = (
    "Head mean, ties, positions and which layer 7L/8 is are ours. Version 1 of the paper names a "
    "greedy k-center; its details are our reading. The budget leaves stage 2 out, as the paper's "
    "does. Without [CLS] the pivot is the token nearest to the mean (the appendix's Center)."
)
NEEDS = frozenset({"last_cls_attention", "tail_attention", "visual_to_tail"})
READS_QUESTION = True
NESTED = False  # stage 1 is; whether stage 2 fires depends on what is left
MERGES = TRAINED = False
POSITIONS = "renumber"
WHERE = "both"
SENTENCE = (
    "Keeps patches that differ from all kept before, and removes them all in the last layers if "
    "words and picture no longer look at each other."
)
EQUATION = "next = argmin_v Σ_c∈C cos(x_v, x_c); all leave if a_t2v < 0.1 and a_v2t < 0.1"
HEADLINE = "LLaVA-NeXT-7B keeps 98.2 % at 25 % of the tokens, 95.0 % at 10 %. Paper, table 1."
TRAPS = (
    "Where the question follows the picture, a_v2t is exactly 0, so one test decides. The sum of "
    "similarities does not avoid near-duplicates."
)
SCORE_MEANS = "order of choice; late in the LLM: attention from the text"
STAND_IN = "the token nearest to the mean"
OPTIONS = {
    "rule": ("max-sum", "k-center"),
    "tau": (0.1, 0.03, 0.05, 0.15),
    "late": (True, False),
}
VARIANTS: dict[str, dict] = {}


def schedule(
    size: Size, budget: int, *, rule: str = "max-sum", tau: float = 0.1, late: bool = True
) -> list[Stage]:
    """Prune before the language model; before its layer 7L/8 all may go, which isn't counted."""
    layer = round(7 * size.layers / 8)
    if not late or not 0 < layer < size.layers or budget == size.tokens:
        return [Stage(0, budget)]
    return [Stage(0, budget), Stage(layer, 0, optional=True)]


def floor(size: Size, *, rule: str = "max-sum", tau: float = 0.1, late: bool = True) -> int:
    """Any budget from one token on can be reached."""
    return 1


def order(features: Tensor, pivot: int, rule: str = "max-sum") -> Tensor:
    """Give all tokens in the order of choice (Eq. 4-7), [N]; the pivot comes first."""
    unit = normalize(features.float(), dim=1)
    cosine = unit @ unit.T
    chosen, likeness = [pivot], cosine[pivot].clone()
    likeness[pivot] = torch.inf
    for _ in range(len(unit) - 1):
        pick = int(likeness.argmin())  # of equals the lowest index
        chosen.append(pick)
        added = cosine[pick]
        likeness = likeness + added if rule == "max-sum" else torch.maximum(likeness, added)
        likeness[pick] = torch.inf
    return torch.tensor(chosen, device=features.device)


def pivot(signals: Signals) -> int:
    """Give the token that [CLS] looks at most in the tower's last layer (Eq. 3), in view 0."""
    thumbnail = signals.place[:, 0] == 0
    if signals.last_cls_attention is None:  # differs: the appendix's "Center"
        unit = normalize(signals.features.float(), dim=1)
        attention = unit @ normalize(signals.features.float().mean(0), dim=0)
    else:
        attention = signals.per_token(signals.last_cls_attention.float().mean(1))
    return int(attention.masked_fill(~thumbnail, -torch.inf).argmax())


def migration(signals: Signals) -> tuple[float, float]:
    """Give a_t2v and a_v2t (Eq. 8): shares of their attention that text and picture exchange."""
    to_picture = signals.tail_attention.float().mean(0).sum(-1).mean()
    return float(to_picture), float(signals.visual_to_tail.float().mean())


def score(
    signals: Signals, *, rule: str = "max-sum", tau: float = 0.1, late: bool = True
) -> Tensor:
    """Give the rank of choice turned around; at the late stage the text's attention; [N]."""
    if signals.tail_attention is not None:
        return signals.tail_attention.float().mean((0, 1))
    return falling(signals.once(rule, lambda: order(signals.features, pivot(signals), rule)))


def keep(
    signals: Signals, stage: Stage, *, rule: str = "max-sum", tau: float = 0.1, late: bool = True
) -> Kept:
    """Keep the first K of the order; at the late stage everything or nothing."""
    if stage.optional:
        everything = torch.arange(signals.count, device=signals.place.device)
        return Kept(everything[:0] if max(migration(signals)) < tau else everything)
    return Kept(top(score(signals, rule=rule), stage.keep))
