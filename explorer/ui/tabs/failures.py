"""The tab "Failures": scenes on which the method of the tab "Explore" fails and another does not.

Wiring only. The browser asks for a few scenes at a time, so that other visitors get their turn and
a search can be stopped at any moment; a hit is opened in "Explore" by its seed.
"""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from explorer.analyses import failures
from explorer.cases.generation import FULL
from explorer.media.image import picture_url
from explorer.methods import catalog
from explorer.methods.catalog import title
from explorer.pico.data import scenes
from explorer.ui import components
from explorer.ui.messages import FailuresMessage
from explorer.ui.payloads.encoding import rounded
from explorer.ui.requests import Channel, ModelQueue, Stop, serve_request
from explorer.ui.session import AppState, Session, UseCases
from explorer.vlm.loader import default_loader

MAX_SCENES = {True: 4, False: 1}  # scenes of one event; few where a model takes its time
THUMB_SIDE = 144  # pixels


def build(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Lay out the tab and wire it. session: what the visitor looks at in the tab "Explore"."""
    against = [{"key": FULL, "title": "the full model"}]
    against += [
        {"key": method.spec, "title": title(method.spec)}
        for method in catalog.choices()
        if not method.slow
    ]
    settings = {"against": against, "first": failures.FIRST_SEED, "reply": None}
    panel = components.html_block(
        '<div class="vt-failures"></div>',
        "mountFailures",
        settings,
        elem_id="vt-failures",
    )
    outbound = components.outbound("mountFailuresRequest", "find")

    def find(session: Session, message: FailuresMessage, stop: Stop) -> Iterator[dict]:
        yield from hits(app_state.use_cases, message, session.model)

    channel = Channel(
        "failures",
        outbound,
        panel,
        session,
        event="find",
        envelope=lambda reply: settings | {"reply": reply},
        defaults={"looked": 0, "hits": []},
    )
    serve_request(channel, FailuresMessage, find, model_queue.of_long_jobs)


def hits(use_cases: UseCases, message: FailuresMessage, model: str) -> Iterator[dict]:
    """Look at the next few scenes; looked: how many those were."""
    live = default_loader().catalog.entry(model).live
    count = min(message.count, MAX_SCENES[live])
    seeds = range(message.first, message.first + count)
    found = use_cases.find_failures(message.method, message.budget, seeds, message.against, model)
    yield {"looked": count, "hits": [_hit(each) for each in found if each is not None]}


def _hit(found: failures.Failure) -> dict:
    return {
        "seed": found.seed,
        "question": found.question,
        "kind": found.kind,
        "truth": found.truth,
        "wrong": found.wrong,
        "sure": found.sure,
        "drop": rounded(found.log_prob_loss),
        "src": picture_url(scenes.make(found.seed).image, THUMB_SIDE),
    }
