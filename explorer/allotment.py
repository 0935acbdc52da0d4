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

from explorer import answers, quota
from explorer.analysis import draw_case
from explorer.engine import Plan
from explorer.errors import BadBudget
from explorer.film import Film
from explorer.memory import Memory, recall
from explorer.results import Answer, MethodMap
from explorer.signals import Kept, Signals, Stage

MOST_ALPHA = 4.0
MOST_BUDGETS = 600  # of a table; a model with more tokens gets a ladder of so many


@dataclass(frozen=True)
class Share:
    """How QuoTA shares tokens out: the exponent of the scores, and how frames are resized."""

    alpha: float = quota.ALPHA
    version: str = "v1"

    def __post_init__(self) -> None:
        if not (isinstance(self.alpha, int | float) and 0 <= self.alpha <= MOST_ALPHA):
            raise BadBudget(f"The exponent of the scores must lie from 0 to {MOST_ALPHA:g}.")
        if self.version not in quota.VERSIONS:
            raise BadBudget(f"QuoTA's versions here are {' and '.join(quota.VERSIONS)}.")

    def shapes(self, film: Film, scores: Sequence[float], budget: int) -> list[quota.Shape]:
        """Give every view's grid at a budget."""
        rows, columns = film.shape
        return quota.shapes(film.of_views(scores), budget, rows * columns, self.alpha, self.version)


def full(film: Film, memory: Memory | None = None) -> Answer:
    """Answer from all tokens of all frames."""
    return answers.reference(film.case, memory).answer


def by_method(film: Film, method: str, budget: int, memory: Memory | None = None) -> Answer:
    """Answer from what a method keeps of all frames' tokens at a mean budget."""
    *_, last = answers.stream_case(film.case, method, budget, memory, every=math.inf)
    return last


def map_of_method(film: Film, method: str, memory: Memory | None = None) -> MethodMap:
    """Tell what a method would keep at every budget."""
    return draw_case(film.case, method, memory)


def by_quota(
    film: Film,
    scores: Sequence[float],
    budget: int,
    share: Share | None = None,
    memory: Memory | None = None,
) -> Answer:
    """Answer from frames that are resized to their shares of a budget.

    Its layers tell the tokens that are really used: shares and grids are cut off to whole numbers.
    """
    share = share or Share()
    answers.check_budget(budget, film.case.size.tokens)
    grids = tuple(share.shapes(film, scores, budget))
    key = ("quota", film.case.id, share.version, grids)
    name = f"quota:{share.version}"
    return recall(
        memory,
        (*key, budget),
        lambda: answers.by_plan(film.case, name, budget, _plan(film, grids, share), memory),
        lambda _: answers.ANSWER_BYTES,
    )


def _plan(film: Film, grids: Sequence[quota.Shape], share: Share) -> Plan:
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
            stands=cells[:, 0].repeat_interleave(sizes),
            mix=lambda rows: torch.cat(resized(rows)),
        )

    ends = newline is not None and share.version == "v1"
    count = sum(rows * (columns + ends) for rows, columns in grids)
    return Plan((Stage(0, 0, count),), resize, renumber=True)


def budgets(tokens: int) -> list[int]:
    """List the budgets of a table: all, or a ladder of MOST_BUDGETS."""
    if tokens <= MOST_BUDGETS:
        return list(range(1, tokens + 1))
    return sorted({int(budget) for budget in np.linspace(1, tokens, MOST_BUDGETS)})


def table(film: Film, scores: Sequence[float], share: Share) -> np.ndarray:
    """Give rows and columns of every view's grid at each of `budgets`, [B, V, 2]."""
    return np.array(
        [share.shapes(film, scores, budget) for budget in budgets(film.case.size.tokens)],
        dtype=np.uint8,
    )
