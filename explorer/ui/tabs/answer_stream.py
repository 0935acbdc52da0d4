"""Many wishes of one visitor, pairs of a method and a budget, and the replies that grow with them.

What the browser asks is checked here; a ticket that is no longer the newest of its session stops
the work. Knows answers and whose turn it is; not what a tab shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gradio as gr

from explorer.analyses import api
from explorer.cases import batch_answers, scheduler
from explorer.errors import VisitorError
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.session import AppState, RequestTickets, Session, ticket_of
from explorer.vlm.loader import default_loader

SLOWLY = 8  # answers of one event where a model takes its time, so that others get their turn
MOST = 200  # wishes that are looked at
PAUSE = 0.3  # seconds between two replies


@dataclass(frozen=True)
class StreamRate:
    """How a tab is served.

    at_once: answers of one event. handful: so many new ones are reason enough for a reply.
    """

    at_once: int
    handful: int


def wire(
    asking: gr.HTML,
    board: gr.HTML,
    given: dict,
    desk: AppState,
    tickets: RequestTickets,
    visit: gr.State,
    on_model: dict,
    pace: StreamRate,
) -> None:
    """Connect a tab's sender (events announce, work) with its board (value: given and a reply)."""

    def announce(asked: dict, request: gr.Request) -> None:
        tickets.announce(request.session_hash, ticket_of(asked))

    def work(asked: dict, visit: Session, request: gr.Request) -> Iterator[dict]:
        wishes, ticket = _wishes(asked), ticket_of(asked)

        def stale() -> bool:
            return tickets.stale(request.session_hash, ticket)

        if not wishes or asked.get("case") != visit.id or stale():
            return
        for reply in _growing(desk, visit, wishes, stale, pace):
            yield given | {"reply": reply | {"ticket": ticket}}

    quiet = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    asking.announce(announce, [asking], None, queue=False, **quiet)
    asking.work(work, [asking, visit], [board], **quiet, **on_model)


def _wishes(asked: object) -> list[batch_answers.AnswerSpec]:
    """Read what the browser wants: pairs of a method's spec and a budget."""
    wanted = asked.get("wanted") if isinstance(asked, dict) else None
    pairs = wanted[:MOST] if isinstance(wanted, list) else []
    return [
        (pair[0], pair[1])
        for pair in pairs
        if isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and isinstance(pair[1], int)
    ]


def _growing(
    desk: AppState,
    visit: Session,
    wishes: list[batch_answers.AnswerSpec],
    stop: Callable[[], bool],
    pace: StreamRate,
) -> Iterator[dict]:
    """Give what is known by now, again and again: a page may miss a reply, but not the last one."""
    case = (visit.model, visit.picture, visit.question)
    told: list[dict] = []
    error = None

    def reply(done: bool = False) -> dict:
        return {"case": visit.id, "answers": list(told), "done": done, "error": error}

    try:
        known = scheduler.cached_answers(*case, wishes, desk.memory)
        told += [_told(each, visit) for each in known]
        if told:
            yield reply()
        done = {(each.method, each.budget) for each in known}
        left = [wish for wish in wishes if wish not in done]
        live = default_loader().catalog.entry(visit.model).live
        left = left[: pace.at_once if live else SLOWLY]
        sent, last = len(told), 0.0
        for each in api.several(*case, left, desk.memory, stop):
            told.append(_told(each, visit))
            # Every reply costs some 60 ms on its way, more than most answers do.
            if time.monotonic() - last > PAUSE or len(told) - sent >= pace.handful:
                yield reply()
                sent, last = len(told), time.monotonic()
    except VisitorError as failure:
        error = str(failure)
    if not stop():
        yield reply(done=True)


def _told(each: batch_answers.AnswerResult, visit: Session) -> dict:
    if each.answer is not None:
        return answer_payload(each.answer, visit.truth, visit.id)
    return {
        "case": visit.id,
        "method": each.method,
        "budget": each.budget,
        "error": each.error,
    }
