"""Maps that an open case came without: that of one more method, or all that are missing.

Wiring only. A case opens with the maps of the method that is looked at and of those that take no
time; the browser asks for the others when a method is chosen, when a tab compares all, or at last.
"""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from explorer.ui import components
from explorer.ui.messages import CaseMessage, MapMessage
from explorer.ui.payloads.method import method_payload
from explorer.ui.requests import Channel, serve_request, task_channel
from explorer.ui.session import AppState, Session
from explorer.ui.web.model_queue import ModelQueue, Stop


def wire(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Make the ways in which maps are asked for."""
    use_cases, cache = app_state.use_cases, app_state.cache

    def tune(session: Session, message: MapMessage, stop: Stop) -> Iterator[dict]:
        found = use_cases.draw(session.request, message.spec, cache=cache)
        yield {"method": method_payload(found, lean=True)}

    def rest(session: Session, message: CaseMessage, stop: Stop) -> Iterator[dict]:
        analysis = use_cases.analyse(session.request, cache=cache)
        late = [found for found in analysis.methods if found.order is None]
        yield {"methods": [method_payload(found, lean=True) for found in late], "done": True}

    one = Channel(
        "map",
        components.outbound("mountTune", "tune"),
        components.inbound("mountTuned"),
        session,
        event="tune",
        defaults={"method": None},
    )
    serve_request(one, MapMessage, tune, model_queue)
    all_ = task_channel("Explore", "mountMaps", "rest", app_state, session)
    serve_request(all_, CaseMessage, rest, model_queue.of_long_jobs)
