"""The records that the use cases give back: numbers, strings and numpy arrays only.

Nothing here is on a device or refers to a model, so a record can be pickled, sent or stored.
Letters: N visual tokens, L decoder layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from explorer.cost import Shape
from explorer.dominance import Dominance
from explorer.grid import Grid
from explorer.picture import Picture


@dataclass(frozen=True)
class StageMap:
    """What one stage of a method did with the N visual tokens of the picture.

    fate [N]: 0 kept, -1 dropped, g >= 1 folded into merged token g. extra: added tokens without a
    patch, such as [CLS]. score [N]: float32, NaN where nothing is left to score; None in answers.
    """

    layer: int
    fate: np.ndarray
    extra: int
    score: np.ndarray | None = None

    @property
    def kept(self) -> np.ndarray:
        """The visual tokens that are alive as they were, ascending."""
        return np.flatnonzero(self.fate == 0)

    @property
    def merged(self) -> int:
        """How many tokens there are that stand for several patches, or for none."""
        return max(0, int(self.fate.max())) + self.extra


@dataclass(frozen=True)
class Knot:
    """A method's choice at one mean budget. layers [L]: visual tokens that enter each layer."""

    budget: int
    layers: np.ndarray
    stages: tuple[StageMap, ...]


@dataclass(frozen=True)
class MethodMap:
    """Everything the page needs to draw a method at any budget without asking again.

    score [N] float32. A nested method has order [N] (kept first to last), the layer it prunes
    before, and keeps [N] (entry budget - 1: tokens kept after its stage); the others have knots.
    ladder: the budgets whose answers are worth knowing. seconds: what the map took. portions: of a
    method that shares its budget out over crops, the part of crop 0 and how the others share what
    is left [k].
    """

    spec: str
    score: np.ndarray
    floor: int
    ladder: tuple[int, ...]
    order: np.ndarray | None = None
    layer: int = 0
    keeps: np.ndarray | None = None
    knots: tuple[Knot, ...] | None = None
    seconds: float = 0.0
    portions: tuple[float, np.ndarray] | None = None


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
    who stayed. flops: exact, of the prefill. Fidelity of a pruned answer: same (equals the full
    answer), p_full (probability that this run gives to the full answer), kl (first token, nats),
    drop (mean log-probability lost per token of the full answer, nats). seconds: vision, select,
    prefill, decode.
    """

    method: str
    budget: int
    text: str
    tokens: tuple[Token, ...]
    layers: tuple[int, ...] = ()
    stages: tuple[StageMap, ...] = ()
    flops: int = 0
    kv_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    dominance: Dominance | None = None
    same: bool | None = None
    p_full: float | None = None
    kl: float | None = None
    drop: float | None = None
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


@dataclass(frozen=True)
class Compared:
    """One method in a comparison.

    budget: the mean budget it ran at: the one asked for, or its floor where that is above it
    (reached is then False). kept: patches that are alive as they were after its last stage; none
    where all are merged. score [N] float32. known: remembered, not computed anew. likeness:
    probability of the full answer, see `comparison.likeness`. worse: less likely than what random
    gives on average, to two digits; None for random itself. error: why there is no answer.
    """

    method: str
    budget: int
    reached: bool
    score: np.ndarray
    kept: np.ndarray
    known: bool = False
    answer: Answer | None = None
    likeness: float | None = None
    worse: bool | None = None
    error: str | None = None

    @property
    def select_seconds(self) -> float | None:
        """What choosing the tokens took, signals included."""
        return None if self.answer is None else self.answer.seconds["select"]


@dataclass(frozen=True)
class Chance:
    """What random patches do: mean and spread (standard deviation) over several draws.

    same: share of the draws that give the full answer.
    """

    draws: tuple[Answer, ...]
    likeness: float
    spread: float
    same: float


@dataclass(frozen=True)
class Comparison:
    """Methods side by side on one case.

    per_token: likeness is a mean per token of a long answer. jaccard, spearman [M, M] in the order
    of `methods`: of kept patches and of scores, NaN where one of the two keeps none or scores all
    alike. disputed [N]: how many methods keep each patch, baselines left out. notes: sentences, one
    of them for each method that can't run on this model.
    """

    case: str
    budget: int
    tokens: int
    full: Answer
    per_token: bool
    methods: tuple[Compared, ...]
    random: Chance
    jaccard: np.ndarray
    spearman: np.ndarray
    disputed: np.ndarray
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Swept:
    """One method over a ladder of budgets, ascending; None where an answer is missing.

    floor: the smallest mean budget it can reach. likeness: see `comparison.likeness`. safe: K*, the
    smallest budget from which on every larger one gives the full answer. flips: how often that
    answer comes or goes. area: under likeness; area_random: what random has over the same budgets;
    see `sweeps`. error: why there is no answer.
    """

    method: str
    floor: int
    budgets: tuple[int, ...]
    answers: tuple[Answer | None, ...]
    likeness: tuple[float | None, ...]
    safe: int | None = None
    flips: int | None = None
    area: float | None = None
    area_random: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Sweep:
    """Methods over a ladder of mean budgets on one case.

    budgets: the ladder; a method that can't go as low has fewer, and its floor. draws: random, seed
    by seed; random: the draws at each budget of the ladder together. per_token: as in `Comparison`.
    """

    case: str
    tokens: int
    budgets: tuple[int, ...]
    full: Answer
    per_token: bool
    methods: tuple[Swept, ...]
    draws: tuple[Swept, ...]
    random: tuple[Chance | None, ...]
