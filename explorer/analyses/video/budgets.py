"""Answers about a film at one budget over all frames: by QuoTA, or by any method over the union.

QuoTA resizes each frame's grid of tokens to the frame's share; a method keeps some of all frames'
tokens, whichever frame they are from. Knows films, methods and the engine; not pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.analyses.overview import draw_case
from explorer.analyses.video import quota
from explorer.analyses.video.clip_case import VideoCase
from explorer.cases import answers
from explorer.cases.cache import ResultCache, get_or_compute
from explorer.cases.records import Answer, MethodMap
from explorer.errors import BadBudget
from explorer.inference.prefill import PruningPlan
from explorer.methods.signals import Kept, Signals, Stage

MOST_ALPHA = 4.0
MOST_BUDGETS = 600  # of a table; a model with more tokens gets a ladder of so many


@dataclass(frozen=True)
class BudgetAllocation:
    """How QuoTA shares tokens out: the exponent of the scores, and how frames are resized."""

    alpha: float = quota.ALPHA
    version: str = "v1"

    def __post_init__(self) -> None:
        if not (isinstance(self.alpha, int | float) and 0 <= self.alpha <= MOST_ALPHA):
            raise BadBudget(f"The exponent of the scores must lie from 0 to {MOST_ALPHA:g}.")
        if self.version not in quota.VERSIONS:
            raise BadBudget(f"QuoTA's versions here are {' and '.join(quota.VERSIONS)}.")

    def shapes(
        self, film: VideoCase, scores: Sequence[float], budget: int
    ) -> list[quota.GridShape]:
        """Give every view's grid at a budget."""
        rows, columns = film.shape
        return quota.shapes(film.of_views(scores), budget, rows * columns, self.alpha, self.version)


def full(film: VideoCase, memory: ResultCache | None = None) -> Answer:
    """Answer from all tokens of all frames."""
    return answers.full_run(film.case, memory).answer


def by_method(
    film: VideoCase, method: str, budget: int, memory: ResultCache | None = None
) -> Answer:
    """Answer from what a method keeps of all frames' tokens at a mean budget."""
    *_, last = answers.stream_case(film.case, method, budget, memory, every=math.inf)
    return last


def map_of_method(film: VideoCase, method: str, memory: ResultCache | None = None) -> MethodMap:
    """Tell what a method would keep at every budget."""
    return draw_case(film.case, method, memory)


def by_quota(
    film: VideoCase,
    scores: Sequence[float],
    budget: int,
    share: BudgetAllocation | None = None,
    memory: ResultCache | None = None,
) -> Answer:
    """Answer from frames that are resized to their shares of a budget.

    Its layers tell the tokens that are really used: shares and grids are cut off to whole numbers.
    """
    share = share or BudgetAllocation()
    answers.check_budget(budget, film.case.size.tokens)
    grids = tuple(share.shapes(film, scores, budget))
    key = ("quota", film.case.id, share.version, grids)
    name = f"quota:{share.version}"
    return get_or_compute(
        memory,
        (*key, budget),
        lambda: answers.by_plan(film.case, name, budget, _plan(film, grids, share), memory),
        lambda _: answers.ANSWER_BYTES,
    )


def _plan(
    film: VideoCase, grids: Sequence[quota.GridShape], share: BudgetAllocation
) -> PruningPlan:
    """Replace the tokens of every frame by those of the resized one; text between them stays."""
    newline = getattr(film.case.vlm.model.model, "image_newline", None)
    cells = film.cells()

    def resized(rows: Tensor) -> list[Tensor]:
        return quota.resized(rows[cells], grids, share.version, film.shape)

    def resize(signals: Signals, stage: Stage) -> Kept:
        frames = resized(signals.features)
        if newline is not None and share.version == "v1":  # add_token_per_grid_prune
            pairs = zip(frames, grids, strict=True)
            frames = [quota.with_newlines(f, g, newline) if g[0] else f for f, g in pairs]
        sizes = torch.tensor([len(frame) for frame in frames], device=cells.device)
        return Kept(
            index=cells.new_empty(0),
            merged=torch.cat(frames),
            insert_before=cells[:, 0].repeat_interleave(sizes),
            mix=lambda rows: torch.cat(resized(rows)),
        )

    ends = newline is not None and share.version == "v1"
    count = sum(rows * (columns + ends) for rows, columns in grids)
    return PruningPlan((Stage(0, 0, count),), resize, renumber=True)


def budgets(tokens: int) -> list[int]:
    """List the budgets of a table: all, or a ladder of MOST_BUDGETS."""
    if tokens <= MOST_BUDGETS:
        return list(range(1, tokens + 1))
    return sorted({int(budget) for budget in np.linspace(1, tokens, MOST_BUDGETS)})


def table(film: VideoCase, scores: Sequence[float], share: BudgetAllocation) -> np.ndarray:
    """Give rows and columns of every view's grid at each of `budgets`, [B, V, 2]."""
    return np.array(
        [share.shapes(film, scores, budget) for budget in budgets(film.case.size.tokens)],
        dtype=np.uint8,
    )
