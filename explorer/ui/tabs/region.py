"""A second look at a region, in the tab "Debug": cells to choose, and four answers side by side.

Layout and wiring only. The reply grows while the answers are worked out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple

import gradio as gr

from explorer.analyses.region_crop import RegionAnswer
from explorer.cases.request import CaseRequest
from explorer.media import region
from explorer.media.region import Cells
from explorer.ui import components
from explorer.ui.payloads.encoding import rounded
from explorer.ui.requests import Channel, serve_request
from explorer.ui.session import AppState, Session
from explorer.ui.tab_messages import RegionMessage
from explorer.ui.web.model_queue import ModelQueue, Stop

DEFAULTS = {"cells": None, "looks": [], "done": False}  # a reply before anything is known
BEST = 0.1  # of the patches: what "around the best patches" means


def build(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Lay out the part and wire it. session: what the visitor looks at in the tab "Explore"."""
    panel = components.html_block(
        '<div class="vt-region"></div>',
        "mountRegion",
        {"cuts": region.CUTS, "reply": None},
        elem_id="vt-region",
    )
    outbound = components.outbound("mountRegionRequest", "look", "announce")

    def look(session: Session, message: RegionMessage, stop: Stop) -> Iterator[dict]:
        yield from answers(app_state, session, message)

    channel = Channel(
        "region",
        outbound,
        panel,
        session,
        event="look",
        tickets=app_state.tickets,
        envelope=lambda reply: {"cuts": region.CUTS, "reply": reply},
        defaults=DEFAULTS,
    )
    serve_request(channel, RegionMessage, look, model_queue.of_long_jobs)


def answers(app_state: AppState, session: Session, message: RegionMessage) -> Iterator[dict]:
    """Give the answers that are known by now, again and again."""
    request, use_cases, cache = session.request, app_state.use_cases, app_state.cache
    if message.cells is None:
        cells = _best(app_state, request, message.method)
    else:
        cells = Cells(*message.cells)
    displayed = cells.dilated() if message.dilate else cells
    reply = {"cells": list(astuple(cells)), "seen": list(astuple(displayed)), "looks": []}
    yield reply
    for found in use_cases.answer_with_crop(request, displayed, message.method, cache=cache):
        reply |= {"looks": [*reply["looks"], _payload(found)]}
        yield reply
    yield reply | {"done": True}


def _best(app_state: AppState, request: CaseRequest, method: str) -> Cells:
    """Find the cells around the patches that a method likes best."""
    use_cases = app_state.use_cases
    analysis = use_cases.analyse(request, cache=app_state.cache)
    ready = {found.spec: found for found in analysis.methods}
    score = (ready.get(method) or use_cases.draw(request, method, cache=app_state.cache)).score
    size = (analysis.grid.width, analysis.grid.height)
    return region.covering(analysis.grid.boxes, score, BEST, size)


def _payload(answer: RegionAnswer) -> dict:
    return {
        "mode": answer.mode,
        "tokens": list(answer.tokens),
        "text": answer.text,
        "likely": rounded(answer.likelihood),
        "same": answer.agrees,
        "seconds": rounded(answer.seconds),
        "error": answer.error,
    }
