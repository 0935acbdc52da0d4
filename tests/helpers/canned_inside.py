"""What the tab "Inside" asks of a model, made up and handed out at once, behind a gate.

Two answers of three words whose numbers are known: attention lies on the patch with the number of
the word, in the pruned run every second patch is gone. Knows records and use cases; not pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from explorer.analyses.inside.records import (
    Counts,
    Inside,
    KeyReads,
    Removal,
    SelectReads,
    TidalReads,
)
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.records import Analysis, Token
from explorer.cases.request import CaseRequest
from explorer.metrics.reading.tidaldecode import Tidal
from explorer.metrics.reading.tokenselect import TokenSelect

if TYPE_CHECKING:
    from canned import Gate

WORDS, HEADS, STANDS_FROM = ("a", "duck", ""), 4, 8
LENS = ("duck", "green")
FREE_FROM = 9  # all visual tokens may leave before this layer


class CannedInside:
    """Made-up insides behind a gate. analysis: whose grid and layers the results have."""

    def __init__(self, gate: Gate, analysis: Analysis) -> None:
        self._gate, self._n, self._layers = gate, analysis.grid.count, analysis.layers

    def look_inside(
        self,
        request: CaseRequest,
        method: str = FULL,
        budget: int = 1,
        *,
        cache: ResultCache | None = None,
    ) -> Inside:
        """Give what happened inside an answer of two words."""
        [inside] = self._gate.passing([self._inside(method, budget)])
        return inside

    def _inside(self, method: str, budget: int) -> Inside:
        L, G, n = self._layers, len(WORDS), self._n
        full = method == FULL
        attention = np.zeros((L, G, n), np.float16)
        attention[:, range(G), range(G)] = 0.5
        if not full:
            attention[:, :, 1::2] = np.nan
        shares = np.tile(np.array([0.5, 0.25, 0.125, 0.125, 0], np.float32), (G, L, 1))
        chances = np.zeros((L, G, 2), np.float32)
        chances[STANDS_FROM:, :, 0] = 1
        says = [WORDS if layer >= STANDS_FROM else ("green",) * G for layer in range(L)]
        return Inside(
            method=method,
            budget=n if full else budget,
            text="a duck",
            tokens=(Token("a", 0.9), Token(" duck", 0.8)),
            token_ids=(5, 6, 2),
            predicted=WORDS,
            agrees=True,
            heads=HEADS,
            entering=(n if full else budget,) * L,
            cached=(n if full else budget,) * L,
            attention=attention,
            shares=shares,
            candidates=tuple((word, "green") for word in WORDS),
            chances=chances,
            says=tuple(says),
            stands_from=(STANDS_FROM,) * G,
            norms=np.ones((L, n), np.float32),
            changes=np.ones((L, n), np.float32),
            tower_norms=np.ones(n, np.float32),
            token_norms=np.ones(n, np.float32),
        )

    def patch_map(
        self,
        request: CaseRequest,
        method: str = FULL,
        budget: int = 1,
        what: str = "attention",
        layer: int = -1,
        head: int = -1,
        *,
        cache: ResultCache | None = None,
    ) -> np.ndarray:
        """Give attention of the mean; of a layer with its number on the last patch."""
        inside = self._inside(method, budget)
        if what in ("tower", "token"):
            return inside.tower_norms
        values = inside.attention[0].astype(np.float32)
        values[:, self._n - 2] = 0.1 * (layer + 1) + 0.01 * (head + 1)
        return values

    def read_keys(
        self,
        request: CaseRequest,
        method: str = FULL,
        budget: int = 1,
        tidal: Tidal | int = 64,
        select: TokenSelect | int = 64,
        *,
        cache: ResultCache | None = None,
    ) -> KeyReads:
        """Let both methods read the first patches, as many as they have keys."""
        L, q, n = self._layers, len(WORDS) - 1, self._n
        tidal = Tidal.of(L, tidal) if isinstance(tidal, int) else tidal
        select = TokenSelect(select) if isinstance(select, int) else select
        read = (np.arange(n) < tidal.keys).astype(np.float32)
        counts = Counts(read, np.where(read > 0, 0, -1), float(read.mean()))
        kept = np.full((q, L), 0.5, np.float32)
        kept[:, [*range(tidal.start + 1), tidal.correction]] = np.nan
        return KeyReads(
            TidalReads(
                tidal.start,
                tidal.correction,
                tidal.keys,
                tidal.scope,
                heat=np.tile(read, (3, q, 1)),
                visual=np.full((q, 2), tidal.keys, np.float32),
                recall=kept,
                mass=kept,
                persistence=np.full((q - 1, 2), 0.75, np.float32),
                counts=counts,
                everything=tidal.keys >= n,
                text="a duck",
                agrees=True,
            ),
            SelectReads(
                select.keys,
                select.theta,
                heat=np.tile(read, (q, 1)),
                votes=np.zeros((L, q, n), np.float16),
                hits=np.ones((q, L), bool),
                mass=np.ones((q, L), np.float32),
                counts=counts,
                everything=select.keys >= n,
            ),
            coverage=np.ones(q, np.float32),
        )

    def remove_by_layer(
        self, request: CaseRequest, *, cache: ResultCache | None = None
    ) -> Iterator[tuple[Removal, ...]]:
        """Let the answer stay from one layer on."""
        needed = [Removal(layer, "a sign", False, 0.1) for layer in range(FREE_FROM)]
        free = [Removal(layer, "a duck", True, 0.9) for layer in range(FREE_FROM, self._layers)]
        yield from self._gate.passing([tuple(needed), tuple(needed + free)])
