"""The use cases of a video: open some frames and score them, answer at one budget over all of them.

Like those of a picture, but they give the JSON of the tab "Video": a film itself lies on
the model's device, and on ZeroGPU nothing leaves a lease but plain data. Knows films, what is
answered of them and its JSON; not pages or sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from explorer.analyses.video import budgets
from explorer.analyses.video.clip_case import VideoCase, make_video_request, open_video_case
from explorer.analyses.video.frame_scoring import FrameQuery, frame_scores
from explorer.analyses.video.frame_scoring import frame_query as looked_for
from explorer.cases import gpu
from explorer.cases.cache import ResultCache
from explorer.cases.gpu import GpuCost
from explorer.errors import BadBudget
from explorer.media.video import Clip
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.method import method_payload
from explorer.ui.payloads.video import tables_payload, video_payload
from explorer.vlm.components import Vlm


def open_video(
    model: str | Vlm,
    clip: Clip,
    question: str,
    things: Sequence[str] = (),
    truth: str | None = None,
    memory: ResultCache | None = None,
) -> dict:
    """Look at the frames, ask each of them, and answer from all tokens; gives a film's JSON.

    things: what to look for, if not in the question. Raises `VisitorError` with one clear sentence.
    """
    asked = make_video_request(model, clip, question)
    much = GpuCost(answers=2 + len(clip.frames) * max(1, len(things)))
    return gpu.call(open_request, asked, memory, much=much, things=things, truth=truth)


def answer_video(
    model: str | Vlm,
    clip: Clip,
    question: str,
    things: Sequence[str] = (),
    wanted: dict | None = None,
    truth: str | None = None,
    memory: ResultCache | None = None,
) -> Iterator[dict]:
    """Give first what is drawn, then QuoTA's answer, then the method's; see video/selection.js.

    wanted: {budget, alpha, version, method, tables, map, at}, as a browser sends it.
    """
    asked = make_video_request(model, clip, question)
    wanted = wanted or {}
    much = GpuCost(answers=3, maps=bool(wanted.get("map")))
    what = {"things": things, "asked": wanted, "truth": truth}
    yield from gpu.stream(stream_answers, asked, memory, much=much, **what)


# ---- where the model is -------------------------------------------------------------------------


def open_request(
    model: str | Vlm,
    clip: Clip,
    question: str,
    memory: ResultCache | None,
    things: Sequence[str],
    truth: str | None,
) -> dict:
    """Do what `show` asks for."""
    film, asked, scores = _scored(model, clip, question, memory, things)
    full = budgets.full(film, memory)
    tables = tables_payload(film, scores, budgets.BudgetAllocation().alpha)
    return video_payload(film, asked, scores, full, truth) | {"tables": tables}


def stream_answers(
    model: str | Vlm,
    clip: Clip,
    question: str,
    memory: ResultCache | None,
    things: Sequence[str],
    asked: dict,
    truth: str | None,
) -> Iterator[dict]:
    """Do what `answer` asks for."""
    film, _, scores = _scored(model, clip, question, memory, things)
    budget, method = asked.get("budget"), str(asked.get("method"))
    share = budgets.BudgetAllocation(_number(asked.get("alpha")), str(asked.get("version")))
    shown: dict = {"alpha": share.alpha, "version": share.version, "budget": budget}
    if asked.get("tables"):
        shown["tables"] = tables_payload(film, scores, share.alpha)
    if asked.get("map"):
        shown["map"] = method_payload(budgets.map_of_method(film, method, memory))
    yield shown
    answer = budgets.by_quota(film, scores, budget, share, memory)
    yield {"quota": answer_payload(answer, truth)}
    if asked.get("at") is not None:
        answer = budgets.by_method(film, method, asked["at"], memory)
        yield {"other": answer_payload(answer, truth), "done": True}
    else:
        yield {"done": True}


def _scored(
    model: str | Vlm, clip: Clip, question: str, memory: ResultCache | None, things: Sequence[str]
) -> tuple[VideoCase, FrameQuery, list[float]]:
    """Open the film, again if need be; what was computed before is remembered."""
    film = open_video_case(model, clip, question, memory)
    asked = looked_for(film, things)
    return film, asked, frame_scores(film, asked, memory)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadBudget("The exponent of the scores must be a number.")
    return float(value)
