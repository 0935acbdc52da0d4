"""Answers about a video at one budget over all frames: by QuoTA, or by any method over the union.

QuoTA resizes each frame's grid of tokens to the frame's share; a method keeps some of all frames'
tokens, whichever frame they are from. Knows videos, methods and the engine; not pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.analyses.overview import draw_case, map_bytes
from explorer.analyses.video import quota
from explorer.analyses.video.clip_case import VideoCase
from explorer.cases.answers import answer_key, by_plan, check_budget, stream_case
from explorer.cases.cache import CacheKey, ResultCache, get_or_compute
from explorer.cases.generation import ANSWER_BYTES
from explorer.cases.records import Answer, MethodMap
from explorer.errors import BadBudget
from explorer.inference.prefill import PruningPlan
from explorer.methods.signals import Kept, Signals, Stage

MAX_ALPHA = 4.0
MAX_BUDGETS = 600  # of a table; a model with more tokens gets a ladder of so many


@dataclass(frozen=True)
class BudgetAllocation:
    """How QuoTA shares tokens out: the exponent of the scores, and how frames are resized."""

    alpha: float = quota.ALPHA
    version: str = "v1"

    def __post_init__(self) -> None:
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, int | float):
            raise BadBudget("The exponent of the scores must be a number.")
        if not 0 <= self.alpha <= MAX_ALPHA:
            raise BadBudget(f"The exponent of the scores must lie from 0 to {MAX_ALPHA:g}.")
        if self.version not in quota.VERSIONS:
            raise BadBudget(f"QuoTA's versions here are {' and '.join(quota.VERSIONS)}.")

    def shapes(
        self, video: VideoCase, scores: Sequence[float], budget: int
    ) -> list[quota.GridShape]:
        """Give every view's grid at a budget."""
        rows, columns = video.shape
        return quota.grid_shapes(
            video.of_views(scores), budget, rows * columns, self.alpha, self.version
        )


def answer_by_method(
    video: VideoCase, method: str, budget: int, cache: ResultCache | None = None
) -> Answer:
    """Answer from what a method keeps of all frames' tokens at a mean budget."""

    def compute() -> Answer:
        *_, complete = stream_case(video.case, method, budget, math.inf, cache)
        return complete

    key = answer_key(video.case.id, method, budget)
    return get_or_compute(cache, key, compute, lambda _: ANSWER_BYTES)


def map_of_method(video: VideoCase, method: str, cache: ResultCache | None = None) -> MethodMap:
    """Tell what a method would keep at every budget."""
    key = CacheKey("map", video.case.id, (method,))
    return get_or_compute(cache, key, lambda: draw_case(video.case, method, cache), map_bytes)


def answer_by_quota(
    video: VideoCase,
    scores: Sequence[float],
    budget: int,
    allocation: BudgetAllocation | None = None,
    cache: ResultCache | None = None,
) -> Answer:
    """Answer from frames that are resized to their shares of a budget.

    Its layers tell the tokens that are really used: shares and grids are cut off to whole numbers.
    """
    allocation = allocation or BudgetAllocation()
    check_budget(budget, video.case.size.tokens)
    grids = tuple(allocation.shapes(video, scores, budget))
    plan, name = _plan(video, grids, allocation), f"quota:{allocation.version}"
    return get_or_compute(
        cache,
        CacheKey("quota", video.case.id, (allocation.version, grids, budget)),
        lambda: by_plan(video.case, name, budget, plan, cache),
        lambda _: ANSWER_BYTES,
    )


def _plan(
    video: VideoCase, grids: Sequence[quota.GridShape], allocation: BudgetAllocation
) -> PruningPlan:
    """Replace the tokens of every frame by those of the resized one; text between them stays."""
    newline = getattr(video.case.vlm.model.model, "image_newline", None)
    cells = video.cells()

    def resized(rows: Tensor) -> list[Tensor]:
        return quota.resize_frames(rows[cells], grids, allocation.version, video.shape)

    def resize(signals: Signals, stage: Stage) -> Kept:
        frames = resized(signals.features)
        if newline is not None and allocation.version == "v1":  # add_token_per_grid_prune
            pairs = zip(frames, grids, strict=True)
            frames = [quota.with_newlines(f, g, newline) if g[0] else f for f, g in pairs]
        sizes = torch.tensor([len(frame) for frame in frames], device=cells.device)
        return Kept(
            index=cells.new_empty(0),
            merged=torch.cat(frames),
            insert_before=cells[:, 0].repeat_interleave(sizes),
            mix=lambda rows: torch.cat(resized(rows)),
        )

    ends = newline is not None and allocation.version == "v1"
    count = sum(rows * (columns + ends) for rows, columns in grids)
    return PruningPlan((Stage(0, 0, count),), resize, renumber=True)


def budgets(tokens: int) -> list[int]:
    """List the budgets of a table: all, or a ladder of MAX_BUDGETS."""
    if tokens <= MAX_BUDGETS:
        return list(range(1, tokens + 1))
    return sorted({int(budget) for budget in np.linspace(1, tokens, MAX_BUDGETS)})


def table(video: VideoCase, scores: Sequence[float], allocation: BudgetAllocation) -> np.ndarray:
    """Give rows and columns of every view's grid at each of `budgets`, [B, V, 2]."""
    return np.array(
        [allocation.shapes(video, scores, budget) for budget in budgets(video.case.size.tokens)],
        dtype=np.uint8,
    )
