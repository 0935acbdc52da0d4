"""G-Prune: let information flow between similar tokens; keep those in which it collects.

Jiang et al., "What Kind of Visual Tokens Do We Need? Training-free Visual Token Pruning for
Multi-modal Large Language Models from the Perspective of Graph", AAAI 2025, arXiv 2501.02268.
Official code: jytmelon/G-Prune @762c637, LLaVA-NeXT/llava/model/llava_arch.py (inline in
prepare_inputs_labels_for_multimodal). Does not read the question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.method import BeforeLLM, Card, option, positions_option
from explorer.methods.signals import Signals


@dataclass(frozen=True)
class GPrune(BeforeLLM):
    """The tokens in which information collects."""

    card = Card(
        key="gprune",
        title="G-Prune",
        authors="Jiang, Wu, Lin, Yu, Zhou",
        year=2025,
        arxiv="2501.02268",
        repository="jytmelon/G-Prune",
        commit="762c63771212",
        verified=(
            "Scores, degrees and kept sets equal those of the official code on 3 recorded runs."
        ),
        uncertain=(
            "The formula is the code's; of the paper only the abstract was read. As in the code, "
            "thumbnail and crops have a graph each, and the same share of either is kept; with a "
            "single view there is one graph, where the code fails. Newline tokens stay, and here "
            "count in the budget."
        ),
        sentence=(
            "Lets every patch hand its information on to patches like it, and keeps those that "
            "collect most for each neighbour."
        ),
        equation="score_j = Σ_i |x_i| (Aⁿ)_ij / deg_j, A a softmax over neighbours with cos ≥ 0.5",
        headline=(
            "LLaVA-NeXT: 64 % fewer FLOPs for 0.95 % of VQA v2 and 2.3 % of TextVQA (abstract)."
        ),
        traps=(
            "A patch without neighbours keeps all it has and ranks high: rare background survives."
        ),
        score_means="information collected per neighbour",
    )
    similarity: float = option(
        0.5, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, meaning="the least cosine between neighbours"
    )
    temperature: float = option(
        0.03, 0.01, 0.1, 0.3, 1.0, meaning="how sharply a neighbour's likeness counts"
    )
    steps: int = option(5, 1, 2, 10, 20, meaning="how often information is handed on")
    positions: str = positions_option("keep", "renumber")

    def score(self, signals: Signals) -> Tensor:
        """Give the information that each token collects, [N]; tokens without a patch come first.

        With thumbnail and crops, which are separate graphs, the rank in the own graph instead, as
        a share, so that the same share of both is kept. The official code always keeps newlines.
        """
        view = signals.grid_position[:, 0]
        parts = [part for part in (view == 0, view > 0) if part.any()]
        scores = torch.zeros(signals.count, device=view.device, dtype=torch.float32)
        for part in parts:
            found, _ = self.flow(signals.features[part])
            if len(parts) > 1:
                rank = torch.argsort(torch.argsort(found, descending=True, stable=True))
                found = 1 - rank / len(rank)
            scores[part] = found.float()
        scores[view < 0] = 1.01 * scores.max() + 1e-6  # above all, and still on the colour scale
        return scores

    def flow(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give score and number of neighbours of each node of one graph: x [n, D] -> [n], [n]."""
        x = x.float()  # differs: fp16 in the official run
        unit = normalize(x, dim=1)
        cosine = unit @ unit.T
        cosine.fill_diagonal_(1)  # everybody is its own neighbour, a zero vector too
        near = cosine >= self.similarity
        weights = (cosine / self.temperature).masked_fill(~near, float("-inf")).softmax(1)
        degree = near.sum(1)
        sent = x.norm(dim=1)
        for _ in range(self.steps):  # |x| Aⁿ, step by step: no matrix is multiplied by a matrix
            sent = sent @ weights
        return sent / degree, degree
