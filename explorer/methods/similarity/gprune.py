"""G-Prune: let information flow between similar tokens; keep those in which it collects.

Jiang et al., "What Kind of Visual Tokens Do We Need? Training-free Visual Token Pruning for
Multi-modal Large Language Models from the Perspective of Graph", AAAI 2025, arXiv 2501.02268.
Official code: jytmelon/G-Prune @762c637, LLaVA-NeXT/llava/model/llava_arch.py (inline in
prepare_inputs_labels_for_multimodal). Does not read the question.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.signals import Kept, Signals, Size, Stage, top

KEY = "gprune"
TITLE = "G-Prune"
AUTHORS = "Jiang, Wu, Lin, Yu, Zhou"
YEAR = 2025
ARXIV = "2501.02268"
REPOSITORY = "jytmelon/G-Prune"
COMMIT = "762c63771212"
VERIFIED = "Scores, degrees and kept sets equal those of the official code on 3 recorded runs."
UNCERTAIN = (
    "The formula is the code's; of the paper only the abstract was read. As in the code, thumbnail "
    "and crops have a graph each, and the same share of either is kept; with a single view there "
    "is one graph, where the code fails. Newline tokens stay, and here count in the budget."
)
NEEDS: frozenset[str] = frozenset()
READS_QUESTION = False
NESTED = True
MERGES = TRAINED = False
POSITIONS = "keep"
WHERE = "before the LLM"
SENTENCE = (
    "Lets every patch hand its information on to patches like it, and keeps those that collect "
    "most for each neighbour."
)
EQUATION = "score_j = Σ_i |x_i| (Aⁿ)_ij / deg_j, A a softmax over neighbours with cos ≥ 0.5"
HEADLINE = "LLaVA-NeXT: 64 % fewer FLOPs for 0.95 % of VQA v2 and 2.3 % of TextVQA (abstract)."
TRAPS = "A patch without neighbours keeps all it has and ranks high: rare background survives."
SCORE_MEANS = "information collected per neighbour"
OPTIONS = {
    "similarity": (0.5, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9),
    "temperature": (0.03, 0.01, 0.1, 0.3, 1.0),
    "steps": (5, 1, 2, 10, 20),
}
VARIANTS: dict[str, dict] = {}


def schedule(size: Size, budget: int, **options) -> list[Stage]:
    """Prune once, before the language model: every layer then sees `budget` tokens."""
    return [Stage(0, budget)]


def floor(size: Size, **options) -> int:
    """Any budget from one token on can be reached."""
    return 1


def flow(
    x: Tensor, *, similarity: float = 0.5, temperature: float = 0.03, steps: int = 5
) -> tuple[Tensor, Tensor]:
    """Give score and number of neighbours of each node of one graph: x [n, D] -> [n], [n]."""
    x = x.float()  # differs: fp16 in the official run
    unit = normalize(x, dim=1)
    cosine = unit @ unit.T
    cosine.fill_diagonal_(1)  # everybody is its own neighbour, a zero vector too
    near = cosine >= similarity
    weights = (cosine / temperature).masked_fill(~near, float("-inf")).softmax(1)
    degree = near.sum(1)
    sent = x.norm(dim=1)
    for _ in range(steps):  # |x| Aⁿ, one step at a time: no matrix is multiplied by a matrix
        sent = sent @ weights
    return sent / degree, degree


def score(signals: Signals, **options) -> Tensor:
    """Give the information that each token collects, [N]; tokens without a patch come first.

    With thumbnail and crops, which are separate graphs, the rank in the own graph instead, as a
    share, so that the same share of both is kept. The official code always keeps newline tokens.
    """
    view = signals.place[:, 0]
    parts = [part for part in (view == 0, view > 0) if part.any()]
    scores = torch.zeros(signals.count, device=view.device, dtype=torch.float32)
    for part in parts:
        found, _ = flow(signals.features[part], **options)
        if len(parts) > 1:
            rank = torch.argsort(torch.argsort(found, descending=True, stable=True))
            found = 1 - rank / len(rank)
        scores[part] = found.float()
    scores[view < 0] = 1.01 * scores.max() + 1e-6  # above all, and still on the same colour scale
    return scores


def keep(signals: Signals, stage: Stage, **options) -> Kept:
    """Keep the K largest scores, in their order and with their positions."""
    return Kept(top(score(signals, **options), stage.keep))
