"""TransPrune: drop the visual tokens that the language model changes little and asks little of.

Li et al., "TransPrune: Token Transition Pruning for Efficient Large Vision-Language Model", CVPR
2026, arXiv 2507.20630. Official code: liaolea/TransPrune @c9e8284, llava/model/
modeling_llama_transprune.py (compute_transf_weight, transprune_rank_drop, transprune_forward).
Reads the question: half of the score is the attention of the tokens after the picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from explorer.methods.inside_llm import token_schedule
from explorer.methods.inside_llm.token_schedule import InsideLLM
from explorer.methods.method import Card, option
from explorer.methods.observed import Transition
from explorer.methods.signals import Signals, Size, Stage

LAYERS, OF = (7, 9, 12), 32  # how many layers have run when tokens leave, in a model of 32
SHARES = (0.875, 0.625, 0.125)


@dataclass(frozen=True)
class TransPrune(InsideLLM):
    """Tokens that layers change, and the question looks at."""

    card = Card(
        key="transprune",
        title="TransPrune",
        authors="Li, Duan, Zhang, Ma, Xie, Carneiro, Yaqub, Wang",
        year=2025,
        arxiv="2507.20630",
        repository="liaolea/TransPrune",
        commit="c9e8284f5808",
        verified=(
            "Changes in every counted layer, scores and kept sets of every stage, logits, answers "
            "and cache lengths equal those of the official code on 3 recorded runs of tiny random "
            "models."
        ),
        uncertain=(
            "One schedule is published: .875, .625 and .125 of the tokens stay after layers 7, 9 "
            "and 12 of 32, .41 in the mean. The authors' smaller setting is in a supplement that "
            "we didn't find. Other depths and budgets are ours: below that mean the three shares "
            "shrink alike, above it the last one grows first. Grouped key heads are repeated, "
            "which the code doesn't support."
        ),
        sentence=(
            "Drops the patches that the language model's own layers change least and that the "
            "question looks at least, in three steps within its first half."
        ),
        equation="s_i = Σ_l |y|/|x| softmax_i(1 − cos(x, y)), normed, + attention from the tail",
        headline="LLaVA-1.5-7B keeps 100 % at 1.56 of 3.82 TFLOPs, 98.4 % at 1.19. Paper, table 1.",
        traps="What a layer reads is normed, so its change is mainly the size of what it gives.",
        score_means="change by the layers, plus attention from the question",
    )
    needs = frozenset({"transitions", "next_tail_attention"})
    reads_question = True
    nested = False
    direction: str = option("signed", "abs", meaning="1 - cos as in the code, or 1 - |cos| (Eq. 2)")
    alpha: float = option(0.5, 0.0, 0.25, 0.75, 1.0, meaning="the weight of the changes")

    def layers(self, size: Size) -> list[int]:
        """Tokens leave when these layers have run."""
        return token_schedule.places(size, [round(layer * size.layers / OF) for layer in LAYERS])

    def smallest(self, size: Size) -> list[Stage]:
        """A single visual token is left after the first stage."""
        return _staircase(size, self.layers(size), 0.0)

    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Find the last share r that gives the mean; the published shares are those of r = .125."""
        layers = self.layers(size)
        at = partial(_staircase, size, layers)
        return token_schedule.fit(size, budget, at, known=SHARES[-1:])

    def score(self, signals: Signals) -> Tensor:
        """Give the share of the changes plus the share of the attention, [N]."""
        return self.combine(signals, counted(signals))

    def combine(self, signals: Signals, layers: Iterable[Transition]) -> Tensor:
        """Add the changes in some layers (Eq. 4) and attention from the tail, as shares, [N]."""
        changes = sum(weights(layer, self.direction)[layer.visual] for layer in layers)
        asked = signals.next_tail_attention.float().mean((0, 1))
        change, attention = (values / (values.sum() + 1e-8) for values in (changes, asked))
        # Eq. 6; at .5 the code's plain sum
        return 2 * (self.alpha * change + (1 - self.alpha) * attention)


def _staircase(size: Size, layers: list[int], r: float) -> list[Stage]:
    """Give the stages when the last one keeps the share r of all tokens."""
    last = SHARES[-1]
    shares = [max(share, r) if r >= last else share * r / last for share in SHARES]
    return token_schedule.steps(size, layers, [size.tokens * share for share in shares])


def weights(transition: Transition, direction: str = "signed") -> Tensor:
    """Give TTV of one layer: m exp(1 - c) / sum exp(1 - c), its two modules added, [S].

    The sum runs over all tokens of the sequence, text too: it weighs modules against each other.
    """
    cosine = transition.cosine if direction == "signed" else transition.cosine.abs()
    return (transition.ratio * (1 - cosine).softmax(-1)).sum(0)


def counted(signals: Signals) -> Iterable[Transition]:
    """Give the layers that count: from the last one before anything was dropped up to here.

    That is the layer before the first stage, 7 of 32, where the authors' sum starts as well.
    """
    sizes = [transition.ratio.shape[-1] for transition in signals.transitions]
    return signals.transitions[sizes.count(sizes[0]) - 1 :]
