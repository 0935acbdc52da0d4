"""Single answers of the tab "Explore", and the ladder of answers that fills in by itself.

Wiring only. The browser decides what to ask for; a question names its case, so that one about an
earlier picture is not answered, and its ticket, so that a stale run stops at the next token.
"""

from __future__ import annotations

from collections.abc import Iterator

from explorer.errors import VisitorError
from explorer.ui.explore.blocks import Explore
from explorer.ui.messages import AnswerMessage, LadderMessage
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.requests import Channel, serve_request
from explorer.ui.session import PARTIAL_SECONDS, AppState, Session
from explorer.ui.web.model_queue import ModelQueue, Stop

MAX_BUDGETS = 4  # that one event may answer, so that other visitors get their turn


def wire(tab: Explore, app_state: AppState, model_queue: ModelQueue) -> None:
    """Connect the two components by which the browser asks with the readout."""

    def ask(session: Session, message: AnswerMessage, stop: Stop) -> Iterator[dict]:
        stream, cache = app_state.use_cases.stream, app_state.cache
        asked = (message.method, message.budget)
        try:
            for answer in stream(session.request, *asked, PARTIAL_SECONDS, cache=cache):
                yield {"answers": [answer_payload(answer, session.truth, session.id)]}
        except VisitorError as error:
            yield {"answers": [_failure(session, *asked, error)]}

    def fill(session: Session, message: LadderMessage, stop: Stop) -> Iterator[dict]:
        budgets = message.budgets[:MAX_BUDGETS]
        answers = [_answered(app_state, session, message.method, budget) for budget in budgets]
        yield {"answers": answers}

    to_readout = {"inbound": tab.readout, "session": tab.session, "defaults": {"answers": []}}
    asking = Channel("explore", tab.ask, event="ask", tickets=app_state.tickets, **to_readout)
    filling = Channel("ladder", tab.fill, event="fill", **to_readout)
    serve_request(asking, AnswerMessage, ask, model_queue)
    serve_request(filling, LadderMessage, fill, model_queue.of_long_jobs)


def _answered(app_state: AppState, session: Session, method: str, budget: int) -> dict:
    """Answer one question at once."""
    try:
        answer = app_state.use_cases.answer(session.request, method, budget, cache=app_state.cache)
    except VisitorError as error:
        return _failure(session, method, budget, error)
    return answer_payload(answer, session.truth, session.id)


def _failure(session: Session, method: str, budget: int, error: VisitorError) -> dict:
    return {"case": session.id, "method": method, "budget": budget, "error": str(error)}
