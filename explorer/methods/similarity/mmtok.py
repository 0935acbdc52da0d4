"""MMTok: keep visual tokens that together cover both the question's words and the picture.

Dong et al., "MMTok: Multimodal Coverage Maximization for Efficient Inference of VLMs", ICLR 2026,
arXiv 2508.18264, section 3.1 and Algorithm 2. Official code: Ironieser/MMTok @d1522cd,
mmtok/core/semantic_selector.py (mm_coverage_selection, greedy_merged_jit_kernel). Reads the
question: its keywords, as input embeddings of the language model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.ops.crops import crop_of, in_turn
from explorer.methods.ops.merging import rest
from explorer.methods.ops.ranking import falling
from explorer.methods.signals import Kept, Signals, Stage
from explorer.methods.similarity.keywords import NOTHING_ASKED, keywords


@dataclass(frozen=True)
class MMTok(BeforeLLM):
    """Tokens that cover the question's words and the picture."""

    card = Card(
        key="mmtok",
        title="MMTok",
        authors="Dong, Hu, Zhang, Yin, Fu, Qian",
        year=2025,
        arxiv="2508.18264",
        repository="Ironieser/MMTok",
        commit="d1522cd",
        verified=(
            "Matrix, first gains and order of choice equal the official code's on 3 recorded runs, "
            "its keywords on 9 questions, its padding on 5 of 8 picture sizes; on 3 it takes a row "
            "more, which shows less than a pixel of the picture, for padding."
        ),
        uncertain=(
            "The word filter and the exclusion of padding are in the code alone. An answer drafted "
            "by a small model, an option of the paper, is neither in the code nor here. Where the "
            "code would keep fewer than K for want of patches, padding comes in behind the others, "
            "which is ours."
        ),
        sentence=(
            "Picks patches one by one, each time the one that covers most of what the question's "
            "words and the picture still lack."
        ),
        equation=(
            "f(S) = Σ_r max_j∈S C_rj, C = [softmax(t · v / τ) / m ; α softmax(v′ · v′ / τ′) / N]"
        ),
        headline=(
            "LLaVA-1.5-7B keeps 98.7 % at 192 tokens, 97.8 % at 128, 96.6 % at 64. MMTok, table 1."
        ),
        traps=(
            "Words and patches are hardly alike (cosines near 0), and the small temperature makes "
            "much of that. Stop words can matter: the letter A among the choices is dropped."
        ),
        score_means="order of choice, 1 is first",
    )
    needs = frozenset({"question", "embed", "hidden", "padding"})
    reads_question = True
    alpha: float = option(0.5, 0.0, 1.0, meaning="weight of the picture; 0 covers the words alone")
    # 0.01 is the code's for Qwen2.5-VL
    tv_temp: float = option(0.02, 0.01, meaning="temperature between words and picture")
    vv_temp: float = option(0.2, 0.1, meaning="temperature within the picture")

    def order(self, signals: Signals, count: int) -> Tensor:
        """Give all tokens, the first `count` of them in the order of choice; crop by crop."""
        text = signals.embed(keywords(signals.question.strip() or NOTHING_ASKED))
        seen, (views, n) = signals.per_token(signals.hidden), signals.hidden.shape[:2]
        crop, orders = crop_of(signals, n), []
        for number in crop[crop >= 0].unique():
            tokens = (crop == number).nonzero()[:, 0]
            matrix = self.cover(text, signals.features[tokens], seen[tokens])
            # the code leaves padding out where there is one view only; differs: it first rounds the
            # picture to whole pixels of the tower's, and so calls a patch with a sliver padding
            allowed = ~signals.padding[tokens] | (views > 1)
            chosen = greedy(matrix, allowed, count)
            # differs: the code would keep fewer than K; here padding comes in behind the others
            orders.append(tokens[torch.cat([chosen, rest(chosen, len(tokens))])])
        return in_turn(orders, signals.count)

    def cover(self, text: Tensor, projected: Tensor, seen: Tensor) -> Tensor:
        """Give how well each token covers each word and each token: C of Eq. 2, [m + n, n].

        text [m, D], projected [n, D] after the projector, seen [n, Dv] before it.
        """
        t, v, w = (normalize(x.float(), dim=1, eps=1e-8) for x in (text, projected, seen))
        # both softmaxes run over the picture's tokens
        words = (t @ v.T / self.tv_temp).softmax(1) / max(len(t), 1)
        picture = (w @ w.T / self.vv_temp).softmax(1) / len(w)
        return torch.cat([words, self.alpha * picture])

    def score(self, signals: Signals) -> Tensor:
        """Give the order of choice turned around: 1 for the first token, 0 for the last; [N]."""
        return falling(self.order(signals, signals.count))

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Keep the first K of the order, which need no more than K steps."""
        return Kept(self.order(signals, stage.keep)[: stage.keep].sort().values)


def greedy(matrix: Tensor, allowed: Tensor, count: int) -> Tensor:
    """Choose up to `count` allowed columns, each with the largest gain of coverage (Alg. 2)."""
    best, gains = torch.zeros_like(matrix[:, :1]), torch.empty_like(matrix)
    barred = torch.zeros_like(matrix[0]).masked_fill_(~allowed, -torch.inf)
    chosen = []
    for _ in range(min(count, int(allowed.sum()))):
        gain = torch.sub(matrix, best, out=gains).clamp_(min=0).sum(0) + barred
        pick = int(gain.argmax())  # of equals the lowest index
        barred[pick] = -torch.inf
        best = torch.maximum(best, matrix[:, pick, None])
        chosen.append(pick)
    return torch.tensor(chosen, dtype=torch.long, device=matrix.device)
