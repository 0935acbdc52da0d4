"""Many answers for one visitor, each of a method at a budget, in replies that grow with them.

A ticket that is no longer the newest of its channel stops the work. Knows answers and whose turn it
is; not what a tab shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr

from explorer.cases.batch_answers import AnswerResult
from explorer.cases.scheduler import cached_answers
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.requests import Channel, serve_request
from explorer.ui.session import AppState, Session
from explorer.ui.tab_messages import BatchMessage
from explorer.ui.web.model_queue import ModelQueue, Stop
from explorer.vlm.loader import default_loader

SLOW_ANSWERS = 8  # of one event where a model takes its time, so that others get their turn
MAX_ANSWERS = 1_000  # of a message that are looked at
PAUSE = 0.3  # seconds between two replies


@dataclass(frozen=True)
class StreamRate:
    """How a tab is served.

    max_answers: of one event. min_new_answers: so many are reason enough for a reply.
    """

    max_answers: int
    min_new_answers: int


def wire(
    name: str,
    outbound: gr.HTML,
    panel: gr.HTML,
    settings: dict,
    app_state: AppState,
    session: gr.State,
    model_queue: ModelQueue,
    rate: StreamRate,
) -> None:
    """Connect how a tab asks (events announce, work) with its panel (value: settings, a reply)."""

    def work(session: Session, message: BatchMessage, stop: Stop) -> Iterator[dict]:
        yield from _growing(app_state, session, message, stop, rate)

    channel = Channel(
        name,
        outbound,
        panel,
        session,
        event="work",
        tickets=app_state.tickets,
        envelope=lambda reply: settings | {"reply": reply},
        defaults={"answers": [], "done": False},
        grows=True,
    )
    serve_request(channel, BatchMessage, work, model_queue.of_long_jobs)


def _growing(
    app_state: AppState, session: Session, message: BatchMessage, stop: Stop, rate: StreamRate
) -> Iterator[dict]:
    """Give the answers as they come, some at a time; the last ones with `done`."""
    wanted = message.wanted[:MAX_ANSWERS]
    if not wanted:  # a cancel
        return
    request, cache = session.request, app_state.cache
    cached = cached_answers(request, wanted, cache)
    if cached:
        yield {"answers": [_payload(each, session) for each in cached]}
    there = {(each.method, each.budget) for each in cached}
    live = default_loader().catalog.entry(session.model).live
    left = [each for each in wanted if each not in there]
    left = left[: rate.max_answers if live else SLOW_ANSWERS]
    answers, last = [], 0.0
    for each in app_state.use_cases.compute_answers(request, left, cache=cache, stop=stop):
        answers.append(_payload(each, session))
        # Every reply costs some 60 ms on its way, more than most answers do.
        if time.monotonic() - last > PAUSE or len(answers) >= rate.min_new_answers:
            yield {"answers": answers}
            answers, last = [], time.monotonic()
    yield {"answers": answers, "done": True}


def _payload(each: AnswerResult, session: Session) -> dict:
    if each.answer is not None:
        return answer_payload(each.answer, session.truth, session.id)
    return {
        "case": session.id,
        "method": each.method,
        "budget": each.budget,
        "error": each.error,
    }
