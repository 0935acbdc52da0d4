"""The tab "Inside": what each word of an answer reads, and where the answer is made.

Layout and wiring only. What a picture shows is asked for by itself: one map of one layer and head
at a time, for the full answer and for the pruned one beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import gradio as gr

from explorer.analyses.inside.layer_keys import KINDS
from explorer.cases.generation import FULL
from explorer.metrics.reading.tidaldecode import Tidal
from explorer.metrics.reading.tokenselect import TokenSelect
from explorer.ui import components
from explorer.ui.messages import CaseMessage, Message
from explorer.ui.payloads.inside import (
    inside_payload,
    map_payload,
    reads_payload,
    removal_payload,
)
from explorer.ui.requests import beside_others, serve_request, task_channel
from explorer.ui.session import AppState, Session
from explorer.ui.tab_messages import InsideMapMessage, InsideMessage, ReadsMessage
from explorer.ui.web.model_queue import ModelQueue

Task = Callable[[AppState, Session, Message], Iterator[dict]]


def build(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Lay out the tab and wire it. session: what the visitor looks at in the tab "Explore"."""
    components.html_block(
        '<div class="vt-inside"></div>', "mountInside", {"kinds": list(KINDS)}, elem_id="vt-inside"
    )
    for name, (kind, task) in TASKS.items():
        channel = task_channel("inside", "mountInsideTask", name, app_state, session)
        queue = model_queue.of_long_jobs if name == "removal" else model_queue
        serve_request(channel, kind, beside_others(partial(task, app_state)), queue)


def _runs(message: InsideMessage) -> dict[str, tuple[str, int]]:
    """Name the two runs that are looked into."""
    return {"full": (FULL, 1), "pruned": (message.method, message.budget)}


def _look(app_state: AppState, session: Session, message: InsideMessage) -> Iterator[dict]:
    found: dict[str, dict] = {}
    for name, run in _runs(message).items():
        inside = app_state.use_cases.look_inside(session.request, *run, cache=app_state.cache)
        found[name] = inside_payload(inside)
        yield {"runs": dict(found), "done": len(found) == 2}


def _map(app_state: AppState, session: Session, message: InsideMapMessage) -> Iterator[dict]:
    wanted = message.what, message.layer, message.head
    maps = {
        name: map_payload(
            app_state.use_cases.patch_map(session.request, *run, *wanted, cache=app_state.cache)
        )
        for name, run in _runs(message).items()
    }
    yield {"maps": maps, "done": True}


def _reads(app_state: AppState, session: Session, message: ReadsMessage) -> Iterator[dict]:
    run = _runs(message)[message.run]
    inside = app_state.use_cases.look_inside(session.request, *run, cache=app_state.cache)
    tidal = Tidal.of(len(inside.entering), message.keys, message.scope)
    chosen = {"start": message.start, "correction": message.correction}
    tidal = replace(tidal, **{name: layer for name, layer in chosen.items() if layer is not None})
    names = ("keys", "theta", "kv_map", "rope", "n_local", "scale", "smooth")
    select = TokenSelect(**{name: getattr(message, name) for name in names})
    reads = app_state.use_cases.read_keys(
        session.request, *run, tidal, select, cache=app_state.cache
    )
    yield {"reads": reads_payload(reads, message.layer), "done": True}


def _remove(app_state: AppState, session: Session, message: CaseMessage) -> Iterator[dict]:
    removal: list[dict] = []
    for found in app_state.use_cases.remove_by_layer(session.request, cache=app_state.cache):
        removal = [removal_payload(each) for each in found]
        yield {"removal": removal}
    yield {"removal": removal, "done": True}


TASKS: dict[str, tuple[type[Message], Task]] = {
    "look": (InsideMessage, _look),
    "map": (InsideMapMessage, _map),
    "reads": (ReadsMessage, _reads),
    "removal": (CaseMessage, _remove),
}
