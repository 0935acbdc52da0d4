"""What is told of the inside of an answer: numbers, strings and numpy arrays only.

Letters: G tokens of the answer, EOS among them where it ended; q = G - 1 of them that were read
again; L layers, N patches' tokens, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.cases.records import Token


@dataclass(frozen=True)
class Inside:
    """What every layer did while an answer was given.

    predicted [G]: each token as text, "" for EOS; token_ids [G]. entering, cached [L]: visual
    tokens that enter each layer, and that its cache holds. attention [L, G, N] float16: of what
    predicts a token to the patches, mean over heads, NaN where nothing stands for a patch. shares
    [G, L, 5]: of attention by `layer_keys.KINDS`. candidates [G][C]: the most probable tokens as
    text; chances [L, G, C]: of them, read off after each layer; says [L][G]: what would be said
    there; stands_from [G]: from behind which layer on that is the token. norms [L, N]: lengths of
    what a layer gives of each patch's token; changes [L, N]: TransPrune's transitions; tower_norms
    and token_norms [N]: lengths behind the tower and behind the projector. agrees: whether it is
    the full answer.
    """

    method: str
    budget: int
    text: str
    tokens: tuple[Token, ...]
    token_ids: tuple[int, ...]
    predicted: tuple[str, ...]
    agrees: bool
    heads: int
    entering: tuple[int, ...]
    cached: tuple[int, ...]
    attention: np.ndarray
    shares: np.ndarray
    candidates: tuple[tuple[str, ...], ...]
    chances: np.ndarray
    says: tuple[tuple[str, ...], ...]
    stands_from: tuple[int, ...]
    norms: np.ndarray
    changes: np.ndarray
    tower_norms: np.ndarray
    token_norms: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, records rounded up."""
        arrays = (self.attention, self.shares, self.chances, self.norms, self.changes)
        return sum(array.nbytes for array in arrays) + 100 * len(self.says) * len(self.says[0])

    @property
    def answer_stands_from(self) -> int:
        """The layer behind which the whole answer stands, given its own beginning."""
        return max(self.stands_from)


@dataclass(frozen=True)
class Counts:
    """Over all steps: often [N], first [N] (-1: never), union: see `metrics.reading.counts`."""

    often: np.ndarray
    first: np.ndarray
    union: float


@dataclass(frozen=True)
class TidalReads:
    """What TidalDecode would read, and the answer when it does.

    heat [3, q, N]: share of heads that read a patch, behind the first choice, behind the second,
    and over all layers that follow; visual [q, 2]: how many of the chosen keys are the picture's,
    mean over heads; recall, mass [q, L]: NaN in layers that read everything; persistence
    [q - 1, 2]. everything: whether all keys are read. text: the answer in apply mode; agrees: with
    the dense one.
    """

    start: int
    correction: int
    keys: int
    scope: str
    heat: np.ndarray
    visual: np.ndarray
    recall: np.ndarray
    mass: np.ndarray
    persistence: np.ndarray
    counts: Counts
    everything: bool
    text: str
    agrees: bool


@dataclass(frozen=True)
class SelectReads:
    """What TokenSelect would read. heat [q, N]: share of layers that read a patch.

    votes [L, q, N] float16; hits [q, L]: whether a layer kept an old choice; mass [q, L]: the
    attention that the chosen keys have. everything: whether all of the picture is read.
    """

    keys: int
    theta: float
    heat: np.ndarray
    votes: np.ndarray
    hits: np.ndarray
    mass: np.ndarray
    counts: Counts
    everything: bool

    @property
    def hit_rate(self) -> float:
        """The share of layers and steps that kept an old choice."""
        return float(self.hits.mean()) if self.hits.size else 0.0


@dataclass(frozen=True)
class KeyReads:
    """Both methods about one answer. coverage [q]: the share of TokenSelect's patches that
    TidalDecode reads, too.
    """

    tidal: TidalReads
    select: SelectReads
    coverage: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, records rounded up."""
        arrays = (self.tidal.heat, self.tidal.recall, self.select.heat, self.select.votes)
        return sum(array.nbytes for array in arrays) + 20_000


@dataclass(frozen=True)
class Removal:
    """The answer when all visual tokens leave before a layer.

    p_full: the probability that this run gives to the full answer.
    """

    layer: int
    text: str
    agrees: bool
    p_full: float
