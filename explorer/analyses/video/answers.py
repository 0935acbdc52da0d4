"""The use cases of a video: open some frames and score them, answer at one budget over all of them.

Like those of a picture: records in and out, nothing of which lies on a device. Knows videos and
what is answered of them; not their JSON, pages or sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from explorer.analyses.video.budgets import (
    BudgetAllocation,
    answer_by_method,
    answer_by_quota,
    map_of_method,
    table,
)
from explorer.analyses.video.clip_case import VideoCase, VideoRequest, open_video_case
from explorer.analyses.video.frame_scoring import FrameQuery, frame_query, frame_scores
from explorer.analyses.video.quota import VERSIONS
from explorer.cases.answers import full_run
from explorer.cases.cache import ResultCache
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.records import Answer, MethodMap


@dataclass(frozen=True)
class BudgetTables:
    """Rows and columns of every view's grid at every budget, for each of QuoTA's versions.

    grids: u8 [B, V, 2] by version. alpha: the exponent of the scores.
    """

    alpha: float
    grids: dict[str, np.ndarray]


@dataclass(frozen=True)
class VideoAnalysis:
    """A video in front of a model: where its tokens lie, a score per frame, and the full answer.

    model: its title. cls: whether its tower has a [CLS] token. places [N, 3], shape: see
    `VideoCase`. view_of: the view of each frame. sheet: the picture that holds all frames, or None.
    """

    id: str
    model: str
    question: str
    layers: int
    tokens: int
    cls: bool
    places: np.ndarray
    shape: tuple[int, int]
    view_of: tuple[int, ...]
    sheet: Image.Image | None
    query: FrameQuery
    scores: tuple[float, ...]
    full: Answer
    tables: BudgetTables

    @property
    def views(self) -> int:
        """V, of which each has its own tokens: the frames, or pairs of them."""
        return max(self.view_of) + 1


@dataclass(frozen=True)
class VideoDrawing:
    """What is drawn before a video is answered: other tables, and a method's map, where asked."""

    allocation: BudgetAllocation
    budget: int
    tables: BudgetTables | None
    method_map: MethodMap | None


def _opening_cost(request: VideoRequest, things: Sequence[str]) -> GpuCost:
    return GpuCost(answers=2 + len(request.clip.frames) * max(1, len(things)))


@use_case(cost=_opening_cost)
def analyse_video(
    request: VideoRequest, things: Sequence[str] = (), *, cache: ResultCache | None = None
) -> VideoAnalysis:
    """Encode the frames, ask each of them, and answer from all tokens.

    things: what to look for, if not in the question. Raises `VisitorError` with one clear sentence.
    """
    video = open_video_case(request, cache)
    query = frame_query(video, things)
    scores = frame_scores(video, query, cache)
    return VideoAnalysis(
        id=video.case.id,
        model=video.case.vlm.title.partition(" ·")[0],
        question=request.question,
        layers=video.case.size.layers,
        tokens=video.case.size.tokens,
        cls=video.case.size.cls,
        places=video.places,
        shape=video.shape,
        view_of=tuple(video.view_of(frame) for frame in range(video.count)),
        sheet=video.sheet,
        query=query,
        scores=tuple(scores),
        full=full_run(video.case, cache).answer,
        tables=_tables(video, scores, BudgetAllocation().alpha),
    )


@use_case(cost=lambda request, draw, **_: GpuCost(answers=3, maps=draw))
def answer_video(
    request: VideoRequest,
    things: Sequence[str],
    allocation: BudgetAllocation,
    budget: int,
    method: str,
    method_budget: int | None = None,
    tables: bool = False,
    draw: bool = False,
    *,
    cache: ResultCache | None = None,
) -> Iterator[VideoDrawing | Answer]:
    """Give first what is drawn, then QuoTA's answer at a budget, then a method's at its own.

    method_budget: None leaves the method's answer out. tables: for the exponent of the allocation;
    draw: the method's map.
    """
    video = open_video_case(request, cache)
    scores = frame_scores(video, frame_query(video, things), cache)
    yield VideoDrawing(
        allocation,
        budget,
        _tables(video, scores, allocation.alpha) if tables else None,
        map_of_method(video, method, cache) if draw else None,
    )
    yield answer_by_quota(video, scores, budget, allocation, cache)
    if method_budget is not None:
        yield answer_by_method(video, method, method_budget, cache)


def _tables(video: VideoCase, scores: Sequence[float], alpha: float) -> BudgetTables:
    grids = {
        version: table(video, scores, BudgetAllocation(alpha, version)) for version in VERSIONS
    }
    return BudgetTables(alpha, grids)
