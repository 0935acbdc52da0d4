"""Single answers of the tab "Explore", and the ladder of answers that fills in by itself.

Wiring only. The browser decides what to ask for; a question names its case, so that one about an
earlier picture is not answered, and its ticket, so that a stale run stops at the next token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gradio as gr

from explorer.analyses import api
from explorer.cases.cache import ResultCache
from explorer.errors import VisitorError
from explorer.ui.explore.blocks import Explore
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.session import PARTIAL_SECONDS, AppState, Session, ticket_of

HANDFUL = 4  # budgets that one event may answer, so that other visitors get their turn


def wire(tab: Explore, desk: AppState, on_model: dict) -> None:
    """Connect the two senders in the browser with the readout."""

    def announce(asked: dict, request: gr.Request) -> None:
        desk.tickets.announce(request.session_hash, ticket_of(asked))

    def ask(asked: dict, visit: Session, request: gr.Request) -> Iterator[dict]:
        if not _meant_for(asked, visit):
            return
        ticket = ticket_of(asked)

        def stale() -> bool:
            return desk.tickets.stale(request.session_hash, ticket)

        for answer in () if stale() else _streamed(visit, asked, desk.memory, stale):
            yield {tab.readout: {"ticket": ticket, "case": visit.id, "answers": [answer]}}

    def fill(asked: dict, visit: Session) -> dict:
        if not _meant_for(asked, visit) or not isinstance(asked.get("budgets"), list):
            return {}
        budgets = asked["budgets"][:HANDFUL]
        told = [_answered(visit, asked, budget, desk.memory) for budget in budgets]
        return {tab.readout: {"ticket": asked.get("ticket"), "case": visit.id, "answers": told}}

    quiet = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    runs = quiet | on_model
    tab.ask.announce(announce, [tab.ask], None, queue=False, **quiet)
    tab.ask.ask(ask, [tab.ask, tab.visit], [tab.readout], **runs)
    tab.fill.fill(fill, [tab.fill, tab.visit], [tab.readout], **runs)


def _meant_for(asked: object, visit: Session) -> bool:
    """Tell whether the browser asks about the case that is open, and not an earlier one."""
    return isinstance(asked, dict) and asked.get("case") == visit.id


def _streamed(
    visit: Session, asked: dict, memory: ResultCache, stop: Callable[[], bool]
) -> Iterator[dict]:
    """Answer one question token by token, until the visitor asks something else."""
    case, method = (visit.model, visit.picture, visit.question), str(asked.get("method"))
    budget = asked.get("budget")
    try:
        for answer in api.stream(*case, method, budget, memory, every=PARTIAL_SECONDS):
            if stop():
                return
            yield answer_payload(answer, visit.truth, visit.id)
    except VisitorError as error:
        yield _failure(visit, asked, budget, error)


def _answered(visit: Session, asked: dict, budget: object, memory: ResultCache) -> dict:
    """Answer one question at once."""
    case, method = (visit.model, visit.picture, visit.question), str(asked.get("method"))
    try:
        answer = api.answer(*case, method, budget, memory)
    except VisitorError as error:
        return _failure(visit, asked, budget, error)
    return answer_payload(answer, visit.truth, visit.id)


def _failure(visit: Session, asked: dict, budget: object, error: VisitorError) -> dict:
    return {
        "case": visit.id,
        "method": str(asked.get("method")),
        "budget": budget,
        "error": str(error),
    }
