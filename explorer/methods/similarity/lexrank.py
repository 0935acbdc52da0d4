"""LexRank on patches: keep what a walk along the similarities between patches visits most.

Erkan and Radev, "LexRank: Graph-based Lexical Centrality as Salience in Text Summarization", JAIR
22 (2004), arXiv 1109.2128. For sentences; there is no official code for patches, and using it on
them is ours. Central means redundant, so it keeps many copies of the largest even region: the
opposite of DivPrune. Does not read the question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.method import BeforeLLM, Card, Variant, option
from explorer.methods.ops.ranking import falling
from explorer.methods.signals import Signals

ALIKE = 0.5  # rerank: above this similarity to a kept patch, a patch has to wait


@dataclass(frozen=True)
class LexRank(BeforeLLM):
    """The most central tokens of a similarity graph."""

    card = Card(
        key="lexrank",
        title="LexRank",
        authors="Erkan, Radev",
        year=2004,
        arxiv="1109.2128",
        verified=(
            "Degree, thresholded and continuous scores equal networkx's PageRank on 2 recorded "
            "graphs, and the paper's own example (figure 1, table 2) within a thousandth."
        ),
        uncertain=(
            "The paper is on text; thresholds for patches are ours (0.5, or the 80th percentile), "
            "and so is clamping negative similarities. The paper writes its damping in two ways: "
            "0.1 to 0.2 in equation 8, which is 1 − f, and 0.85 in table 2, which is f; here it is "
            "f. All views are one graph."
        ),
        sentence="Keeps the patches that resemble many others that themselves resemble many.",
        equation="p = (1 − f)/N + f Bᵀ p, B the similarities above t, row by row shared out",
        traps=(
            "It prefers copies: sky and walls win. As a view it shows what a picture has most of."
        ),
        score_means="centrality among the patches",
    )
    needs = frozenset({"hidden"})
    kind: str = option(
        "threshold", "continuous", "degree", meaning="links, weighted links, or their number alone"
    )
    threshold: float | str = option(
        0.5, "auto", 0.1, 0.3, 0.7, 0.9, meaning="the least cosine of a link; auto: of a fifth"
    )
    damping: float = option(
        0.85, 0.5, 0.7, 0.8, 0.9, 0.95, meaning="f, the probability of following a link"
    )
    source: str = option("projected", "tower", meaning="features after or before the projector")
    centred: bool = option(False, True, meaning="less what all patches have in common")
    rerank: bool = option(False, True, meaning="copies wait until all unlike patches are kept")
    variants = (
        Variant("continuous", {"kind": "continuous"}, "links weighted by their similarity"),
        Variant("degree", {"kind": "degree"}, "the number of similar patches"),
    )

    def score(self, signals: Signals) -> Tensor:
        """Give the centrality, [N]; with `rerank`, the rank after copies had to wait."""
        projected = self.source == "projected"
        x = (signals.features if projected else signals.per_token(signals.hidden)).double()
        unit = normalize(x - (x.mean(0) if self.centred else 0), dim=1)
        cosine = unit @ unit.T
        cosine.fill_diagonal_(1)
        found = centrality(cosine, self.kind, self.threshold, self.damping).float()
        return _reranked(found, cosine) if self.rerank else found


def centrality(
    cosine: Tensor, kind: str = "threshold", threshold: float | str = 0.5, damping: float = 0.85
) -> Tensor:
    """Give the score of each node of a similarity graph [N, N]; self links stay in."""
    n = len(cosine)
    if threshold == "auto":
        pairs = cosine[torch.ones_like(cosine, dtype=torch.bool).triu(1)]
        rank = max(1, round(0.8 * len(pairs)))  # the 80th percentile; quantile() has a size limit
        threshold = float(pairs.kthvalue(rank).values) if n > 1 else 0.0
    linked = (cosine > threshold).to(cosine.dtype)
    if kind == "degree":  # section 3.1
        return linked.sum(1)
    weight = cosine.clamp(min=0) if kind == "continuous" else linked  # Eq. 10, or Eq. 8
    weight = weight + torch.eye(n, device=cosine.device, dtype=cosine.dtype) * (
        weight.sum(1) == 0
    )  # nobody is lost
    walk = weight / weight.sum(1, keepdim=True)
    # solved at once instead of by the power method of algorithm 2: the same fixed point
    system = torch.eye(n, dtype=cosine.dtype, device=cosine.device) - damping * walk.T
    return torch.linalg.solve(system, torch.full_like(cosine[0], (1 - damping) / n))


def _reranked(found: Tensor, cosine: Tensor) -> Tensor:
    """Let a patch that is like a better one wait until all unlike ones are kept (section 4.2)."""
    first: list[int] = []
    waiting: list[int] = []
    for token in torch.argsort(found, descending=True, stable=True).tolist():
        alike = bool(first) and bool((cosine[token, first] > ALIKE).any())
        (waiting if alike else first).append(token)
    return falling(torch.tensor(first + waiting, device=found.device))
