"""Single answers of the tab "Explore", and the ladder of answers that fills in by itself.

Wiring only. The browser decides what to ask for; a question names its case, so that one about an
earlier picture is not answered, and its ticket, so that a stale run stops at the next token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import gradio as gr

from explorer import jobs
from explorer.errors import VisitorError
from explorer.payload import answer_payload
from explorer.ui.desk import Desk, Visit

if TYPE_CHECKING:
    from explorer.ui.explore import Explore

HANDFUL = 4  # budgets that one event may answer, so that other visitors get their turn


def wire(tab: Explore, desk: Desk, on_model: dict) -> None:
    """Connect the two senders in the browser with the readout."""

    def wanted(visit: Visit, asked: dict, budget: int) -> tuple:
        method = str(asked.get("method"))
        return visit.model, visit.picture, visit.question, method, budget, desk.memory

    def streamed(visit: Visit, asked: dict, stop: Callable[[], bool]) -> Iterator[dict]:
        budget = asked.get("budget")
        try:
            for answer in jobs.stream(*wanted(visit, asked, budget)):
                if stop():
                    return
                yield answer_payload(answer, visit.truth, visit.id)
        except VisitorError as error:
            yield _failure(visit, asked, budget, error)

    def answered(visit: Visit, asked: dict, budget: int) -> dict:
        try:
            answer = jobs.answer(*wanted(visit, asked, budget))
        except VisitorError as error:
            return _failure(visit, asked, budget, error)
        return answer_payload(answer, visit.truth, visit.id)

    def announce(asked: dict, request: gr.Request) -> None:
        if isinstance(asked, dict) and isinstance(asked.get("ticket"), int):
            desk.tickets.announce(request.session_hash, asked["ticket"])

    def ask(asked: dict, visit: Visit, request: gr.Request) -> Iterator[dict]:
        if not _meant_for(asked, visit):
            return
        ticket = asked.get("ticket") if isinstance(asked.get("ticket"), int) else 0
        if desk.tickets.stale(request.session_hash, ticket):
            return
        for answer in streamed(
            visit, asked, lambda: desk.tickets.stale(request.session_hash, ticket)
        ):
            yield {tab.readout: {"ticket": ticket, "case": visit.id, "answers": [answer]}}

    def fill(asked: dict, visit: Visit) -> dict:
        if not _meant_for(asked, visit) or not isinstance(asked.get("budgets"), list):
            return {}
        budgets = asked["budgets"][:HANDFUL]
        last = [answered(visit, asked, budget) for budget in budgets]
        return {tab.readout: {"ticket": asked.get("ticket"), "case": visit.id, "answers": last}}

    quiet = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    runs = quiet | on_model
    tab.ask.announce(announce, [tab.ask], None, queue=False, **quiet)
    tab.ask.ask(ask, [tab.ask, tab.visit], [tab.readout], **runs)
    tab.fill.fill(fill, [tab.fill, tab.visit], [tab.readout], **runs)


def _meant_for(asked: object, visit: Visit) -> bool:
    """Tell whether the browser asks about the case that is open, and not an earlier one."""
    return isinstance(asked, dict) and asked.get("case") == visit.id


def _failure(visit: Visit, asked: dict, budget: object, error: VisitorError) -> dict:
    return {
        "case": visit.id,
        "method": str(asked.get("method")),
        "budget": budget,
        "error": str(error),
    }
