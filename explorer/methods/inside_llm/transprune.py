"""TransPrune: drop the visual tokens that the language model changes little and asks little of.

Li et al., "TransPrune: Token Transition Pruning for Efficient Large Vision-Language Model", CVPR
2026, arXiv 2507.20630. Official code: liaolea/TransPrune @c9e8284, llava/model/
modeling_llama_transprune.py (compute_transf_weight, transprune_rank_drop, transprune_forward).
Reads the question: half of the score is the attention of the tokens after the picture.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from explorer.methods.inside_llm import token_schedule
from explorer.methods.signals import Kept, Signals, Size, Stage, Transition, top

KEY = "transprune"
TITLE = "TransPrune"
AUTHORS = "Li, Duan, Zhang, Ma, Xie, Carneiro, Yaqub, Wang"
YEAR = 2025
ARXIV = "2507.20630"
REPOSITORY = "liaolea/TransPrune"
COMMIT = "c9e8284f5808"
VERIFIED = (
    "Changes in every counted layer, scores and kept sets of every stage, logits, answers and "
    "cache lengths equal those of the official code on 3 recorded runs of tiny random models."
)
UNCERTAIN = (
    "One schedule is published: .875, .625 and .125 of the tokens stay after layers 7, 9 and 12 of "
    "32, .41 in the mean. The authors' smaller setting is in a supplement that we didn't find. "
    "Other depths and budgets are ours: below that mean the three shares shrink alike, above it "
    "the last one grows first. Grouped key heads are repeated, which the code doesn't support."
)
NEEDS = frozenset({"transitions", "next_tail_attention"})
READS_QUESTION = True
NESTED = MERGES = TRAINED = False
POSITIONS = "renumber"
WHERE = "inside the LLM"
SENTENCE = (
    "Drops the patches that the language model's own layers change least and that the question "
    "looks at least, in three steps within its first half."
)
EQUATION = "s_i = Σ_l |y|/|x| softmax_i(1 − cos(x, y)), normed, + attention from the tail"
HEADLINE = "LLaVA-1.5-7B keeps 100 % at 1.56 of 3.82 TFLOPs, 98.4 % at 1.19. Paper, table 1."
TRAPS = "What a layer reads is normed, so its change is mainly the size of what it gives."
SCORE_MEANS = "change by the layers, plus attention from the question"
# direction: the code takes 1 - cos, the paper (Eq. 2) 1 - |cos|; alpha: the weight of the changes
OPTIONS = {"direction": ("signed", "abs"), "alpha": (0.5, 0.0, 0.25, 0.75, 1.0)}
VARIANTS: dict[str, dict] = {}

LAYERS, OF = (7, 9, 12), 32  # how many layers have run when tokens leave, in a model of 32
SHARES = (0.875, 0.625, 0.125)


def schedule(
    size: Size, budget: int, *, direction: str = "signed", alpha: float = 0.5
) -> list[Stage]:
    """Find the last share r that gives the mean; the published shares are those of r = .125."""
    layers = _layers(size)
    token_schedule.check(TITLE, size, min([size.layers, *layers]), floor(size), budget)
    if budget == size.tokens:
        return token_schedule.untouched(size, layers)
    return token_schedule.fit(size, budget, lambda r: _stages(size, r), known=SHARES[-1:])


def _layers(size: Size) -> list[int]:
    return token_schedule.places(size, [round(layer * size.layers / OF) for layer in LAYERS])


def _stages(size: Size, r: float) -> list[Stage]:
    """Give the stages when the last one keeps the share r of all tokens."""
    last = SHARES[-1]
    shares = [max(share, r) if r >= last else share * r / last for share in SHARES]
    return token_schedule.steps(size, _layers(size), [size.tokens * share for share in shares])


def floor(size: Size, *, direction: str = "signed", alpha: float = 0.5) -> int:
    """Give the mean, rounded up, when a single visual token is left after the first stage."""
    return token_schedule.lowest(size, _stages(size, 0.0))


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


def combine(
    signals: Signals, layers: Iterable[Transition], direction: str = "signed", alpha: float = 0.5
) -> Tensor:
    """Add the changes in some layers (Eq. 4) and the attention from the tail, as shares, [N]."""
    changes = sum(weights(layer, direction)[layer.visual] for layer in layers)
    asked = signals.next_tail_attention.float().mean((0, 1))
    shares = [values / (values.sum() + 1e-8) for values in (changes, asked)]
    return 2 * (alpha * shares[0] + (1 - alpha) * shares[1])  # Eq. 6; at .5 the code's plain sum


def score(signals: Signals, *, direction: str = "signed", alpha: float = 0.5) -> Tensor:
    """Give the share of the changes plus the share of the attention, [N]."""
    return combine(signals, counted(signals), direction, alpha)


def keep(signals: Signals, stage: Stage, *, direction: str = "signed", alpha: float = 0.5) -> Kept:
    """Keep the k largest scores, in their order and with new positions."""
    return Kept(top(score(signals, direction=direction, alpha=alpha), stage.keep))
