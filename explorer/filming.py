"""The use cases of a video: open some frames and score them, answer at one budget over all of them.

Like those of a picture in jobs.py, but they give the JSON of the tab "Video": a film itself lies on
the model's device, and on ZeroGPU nothing leaves a lease but plain data. Knows films, what is
answered of them and its JSON; not pages or sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from explorer import allotment, leases
from explorer.errors import BadBudget
from explorer.families import Vlm
from explorer.film import Film, Wanted, ask_film, frame_scores, open_film
from explorer.film import wanted as looked_for
from explorer.film_payload import film_payload, tables_payload
from explorer.leases import Work
from explorer.memory import Memory
from explorer.payload import answer_payload, method_payload
from explorer.video import Clip


def show(
    model: str | Vlm,
    clip: Clip,
    question: str,
    things: Sequence[str] = (),
    truth: str | None = None,
    memory: Memory | None = None,
) -> dict:
    """Look at the frames, ask each of them, and answer from all tokens; gives a film's JSON.

    things: what to look for, if not in the question. Raises `VisitorError` with one clear sentence.
    """
    asked = ask_film(model, clip, question)
    much = Work(answers=2 + len(clip.frames) * max(1, len(things)))
    return leases.call(opened, asked, memory, much=much, things=things, truth=truth)


def answer(
    model: str | Vlm,
    clip: Clip,
    question: str,
    things: Sequence[str] = (),
    wanted: dict | None = None,
    truth: str | None = None,
    memory: Memory | None = None,
) -> Iterator[dict]:
    """Give first what is drawn, then QuoTA's answer, then the method's; see assets/filming.js.

    wanted: {budget, alpha, version, method, tables, map, at}, as a browser sends it.
    """
    asked = ask_film(model, clip, question)
    wanted = wanted or {}
    much = Work(answers=3, maps=bool(wanted.get("map")))
    what = {"things": things, "asked": wanted, "truth": truth}
    yield from leases.stream(replies, asked, memory, much=much, **what)


# ---- where the model is -------------------------------------------------------------------------


def opened(
    model: str | Vlm,
    clip: Clip,
    question: str,
    memory: Memory | None,
    things: Sequence[str],
    truth: str | None,
) -> dict:
    """Do what `show` asks for."""
    film, asked, scores = _scored(model, clip, question, memory, things)
    full = allotment.full(film, memory)
    tables = tables_payload(film, scores, allotment.Share().alpha)
    return film_payload(film, asked, scores, full, truth) | {"tables": tables}


def replies(
    model: str | Vlm,
    clip: Clip,
    question: str,
    memory: Memory | None,
    things: Sequence[str],
    asked: dict,
    truth: str | None,
) -> Iterator[dict]:
    """Do what `answer` asks for."""
    film, _, scores = _scored(model, clip, question, memory, things)
    budget, method = asked.get("budget"), str(asked.get("method"))
    share = allotment.Share(_number(asked.get("alpha")), str(asked.get("version")))
    shown: dict = {"alpha": share.alpha, "version": share.version, "budget": budget}
    if asked.get("tables"):
        shown["tables"] = tables_payload(film, scores, share.alpha)
    if asked.get("map"):
        shown["map"] = method_payload(allotment.map_of_method(film, method, memory))
    yield shown
    answer = allotment.by_quota(film, scores, budget, share, memory)
    yield {"quota": answer_payload(answer, truth)}
    if asked.get("at") is not None:
        answer = allotment.by_method(film, method, asked["at"], memory)
        yield {"other": answer_payload(answer, truth), "done": True}
    else:
        yield {"done": True}


def _scored(
    model: str | Vlm, clip: Clip, question: str, memory: Memory | None, things: Sequence[str]
) -> tuple[Film, Wanted, list[float]]:
    """Open the film, again if need be; what was computed before is remembered."""
    film = open_film(model, clip, question, memory)
    asked = looked_for(film, things)
    return film, asked, frame_scores(film, asked, memory)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadBudget("The exponent of the scores must be a number.")
    return float(value)
