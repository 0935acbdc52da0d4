"""Use case: does an answer stay when the same budget has to do for more frames?

The same question over 1, 2, 4 and 8 of a clip's frames, at one budget for all of them together,
beside what all tokens of the same frames say. Knows clips and methods; not pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from explorer.analyses.video.budgets import answer_by_method
from explorer.analyses.video.clip_case import VideoCase, VideoRequest, open_video_case
from explorer.cases.answers import full_run
from explorer.cases.cache import ResultCache
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.scheduler import never
from explorer.errors import VisitorError
from explorer.methods import catalog
from explorer.methods.chance import chance_of

COUNTS = (1, 2, 4, 8)


@dataclass(frozen=True)
class FewerFrames:
    """What is said of some frames.

    frames: their places in the clip, from 0. tokens: that all of them have; budget: mean tokens
    that are kept of those. full: the answer from all; said, chance: those of the method and of its
    random, with whether they agree with it; None where `error` says why there is none.
    """

    frames: tuple[int, ...]
    tokens: int
    budget: int
    full: str
    said: tuple[str, bool] | None
    chance: tuple[str, bool] | None
    error: str = ""


def spread(total: int, count: int) -> tuple[int, ...]:
    """Choose some of the frames, each from the middle of an equal part of the time."""
    return tuple((2 * part + 1) * total // (2 * count) for part in range(count))


def _check(request: VideoRequest, method: str, **_: object) -> None:
    catalog.resolve(method)


@use_case(cost=GpuCost(answers=3 * len(COUNTS)), check=_check)
def coherence(
    request: VideoRequest,
    method: str,
    budget: int,
    *,
    cache: ResultCache | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[FewerFrames]:
    """Ask about 1, 2, 4 and 8 frames, as far as the clip has so many, at one budget over all.

    Where frames have fewer tokens, all are kept. Raises `VisitorError`.
    """
    clip = request.clip
    for count in COUNTS:
        if stop() or count > len(clip.frames):
            return
        chosen = spread(len(clip.frames), count)
        part = replace(clip, frames=tuple(clip.frames[at] for at in chosen))
        few = VideoRequest.make(request.model, part, request.question)
        yield _over(open_video_case(few, cache), chosen, method, budget, cache)


def _over(
    video: VideoCase, chosen: tuple[int, ...], method: str, budget: int, cache: ResultCache | None
) -> FewerFrames:
    size = video.case.size
    kept = min(size.tokens, max(budget, catalog.resolve(method).floor(size)))
    full = full_run(video.case, cache).answer.text
    said, errors = [], []
    for spec in (method, chance_of(method)):
        try:
            answer = answer_by_method(video, spec, kept, cache)
            said.append((answer.text, bool(answer.agrees)))
        except VisitorError as error:
            said.append(None)
            errors.append(str(error))
    return FewerFrames(chosen, size.tokens, kept, full, *said, error=" ".join(errors))
