"""The records that the use cases give back: numbers, strings and numpy arrays only.

Nothing here is on a device or refers to a model, so a record can be pickled, sent or stored.
Letters: N visual tokens, L decoder layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from explorer.media.grid import Grid
from explorer.media.image import Picture
from explorer.metrics.cost import Shape
from explorer.metrics.text_dominance import Dominance


@dataclass(frozen=True)
class StageMap:
    """What one stage of a method did with the N visual tokens of the picture.

    fate [N]: 0 kept, -1 dropped, g >= 1 folded into merged token g. extra: added tokens without a
    patch, such as [CLS]. score [N]: float32, NaN where nothing is left to score; None in answers.
    centres [G]: the token at whose place merged token g stands, at g - 1, which counts as kept; -1
    for a merged token that stands at nobody's. tower: tokens that entered each layer of the vision
    tower, where some left there already; else empty.
    """

    layer: int
    fate: np.ndarray
    extra: int
    score: np.ndarray | None = None
    centres: tuple[int, ...] = ()
    tower: tuple[int, ...] = ()

    @property
    def kept(self) -> np.ndarray:
        """The visual tokens that are alive, or at whose place a merged one stands, ascending."""
        return np.flatnonzero(self.fate == 0)

    @property
    def merged(self) -> int:
        """How many tokens stand beside the kept ones for several patches, or for none."""
        return sum(centre < 0 for centre in self.centres) + self.extra


@dataclass(frozen=True)
class BudgetPoint:
    """A method's choice at one mean budget.

    layers [L]: visual tokens that enter each layer; cached [L]: those that its cache keeps.
    """

    budget: int
    layers: np.ndarray
    cached: np.ndarray
    stages: tuple[StageMap, ...]


@dataclass(frozen=True)
class MethodMap:
    """Everything the page needs to draw a method at any budget without asking again.

    score [N] float32. A nested method has order [N] (kept first to last), the layer it prunes
    before, and keeps [N] (entry budget - 1: tokens kept after its stage); the others have points,
    or None where scores alone were asked for. ladder: the budgets whose answers are worth knowing.
    seconds: what the map took.
    crop_shares: of a method that shares its budget out over crops, the part of crop 0 and how the
    others share what is left [k].
    """

    spec: str
    score: np.ndarray
    floor: int
    ladder: tuple[int, ...]
    order: np.ndarray | None = None
    layer: int = 0
    keeps: np.ndarray | None = None
    points: tuple[BudgetPoint, ...] | None = None
    seconds: float = 0.0
    crop_shares: tuple[float, np.ndarray] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it tells what is kept at every budget, and not the score alone."""
        return self.order is not None or self.points is not None


@dataclass(frozen=True)
class Token:
    """One token of an answer, as text, with the probability the model gave it."""

    text: str
    probability: float


def words_of(pieces: tuple[Token, ...]) -> list[tuple[str, int, int]]:
    """Join the tokens of an answer to words: (text, first token, behind the last one)."""
    words: list[tuple[str, int, int]] = []
    for at, piece in enumerate(pieces):
        if words and not piece.text[:1].isspace():
            text, first, _ = words[-1]
            words[-1] = text + piece.text, first, at + 1
        else:
            words.append((piece.text, at, at + 1))
    return [(text.strip(), first, last) for text, first, last in words]


@dataclass(frozen=True)
class Answer:
    """An answer and what it cost.

    layers [L]: visual tokens that entered each layer, without those wiped out of its cache; stages:
    who stayed. flops: exact, of the prefill; tower_flops: of the vision tower, with the tokens that
    were there, 0 where they can't be counted. Fidelity of a pruned answer: agrees (equals the full
    answer), p_full (probability that this run gives to the full answer), kl (first token, nats),
    log_prob_loss (mean log-probability lost per token of the full answer, nats), token_losses (that
    of each of its tokens, its end included). seconds: vision, select, prefill, decode;
    full_seconds: those of the full run that it is compared with.
    dominance_with_first: MDI and AEI with the prompt's first token counted as text. yes_no: the
    probabilities that the first token says yes and that it says no; None where no token does.
    """

    method: str
    budget: int
    text: str
    tokens: tuple[Token, ...]
    layers: tuple[int, ...] = ()
    stages: tuple[StageMap, ...] = ()
    flops: int = 0
    tower_flops: int = 0
    kv_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    full_seconds: dict[str, float] = field(default_factory=dict)
    dominance: Dominance | None = None
    dominance_with_first: Dominance | None = None
    agrees: bool | None = None
    p_full: float | None = None
    kl: float | None = None
    log_prob_loss: float | None = None
    token_losses: tuple[float, ...] = ()
    yes_no: tuple[float, float] | None = None
    partial: bool = False

    @property
    def final(self) -> int:
        """Visual tokens at the last layer."""
        return self.layers[-1]

    @property
    def mean(self) -> float:
        """Visual tokens, averaged over the layers they enter."""
        return sum(self.layers) / len(self.layers)


@dataclass(frozen=True)
class Analysis:
    """All that is known of a picture and a question before a budget is chosen.

    methods: without those that are too slow to run unasked. shape, text (tokens of the prompt that
    are not visual) and bytes (of a number in the cache): what costs are counted from. crops: which
    crop a token is from, [N], crop 0 being the whole picture, -1 for none; None with one view.
    """

    id: str
    model: str
    question: str
    picture: Picture
    grid: Grid
    layers: int
    methods: tuple[MethodMap, ...]
    full: Answer
    notes: tuple[str, ...]
    seconds: dict[str, float]
    shape: Shape
    text: int
    bytes: int
    crops: np.ndarray | None = None
