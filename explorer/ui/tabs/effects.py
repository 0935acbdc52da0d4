"""The tab "Effects": what pruning does to answers besides saving time, on a picture and over many.

Layout and wiring only. Probes, captions, stability and the map of a caption's word are channels of
their own; what was measured over the built-in scenes is read from the files of the command
`python -m explorer effects`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import gradio as gr

from explorer.analyses import picked
from explorer.analyses.attribution.target import Target
from explorer.analyses.effects import captions, things
from explorer.analyses.effects.things import AskedThing
from explorer.errors import BadMessage
from explorer.methods.chance import chance_of, title_of
from explorer.metrics.effects.pope import STRATEGIES
from explorer.pico.data import scenes
from explorer.ui import components
from explorer.ui.messages import Message
from explorer.ui.payloads.attribution import importance_payload
from explorer.ui.payloads.effects import caption_payload, probed_payload, stability_payload
from explorer.ui.requests import serve_request, task_channel
from explorer.ui.session import AppState, Session
from explorer.ui.tab_messages import (
    CaptionWordMessage,
    DescribeMessage,
    ProbeMessage,
    StabilityMessage,
)
from explorer.ui.web.model_queue import ModelQueue, Stop
from explorer.vlm.progress import Progress

Task = Callable[[AppState, Session, Message, Stop], Iterator[dict]]


def build(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Lay out the tab and wire it. session: what the visitor looks at in the tab "Explore"."""
    components.html_block(
        '<div class="vt-effects"></div>',
        "mountEffects",
        {"strategies": list(STRATEGIES), "measured": measured()},
        elem_id="vt-effects",
    )
    for name, (kind, task) in TASKS.items():
        channel = task_channel("effects", "mountEffectsTask", name, app_state, session)
        serve_request(channel, kind, partial(task, app_state), model_queue.of_long_jobs)


def measured(folder: Path = things.FOLDER) -> list[dict]:
    """Read what the command has measured, one file per method and budget."""
    files = [file for file in sorted(folder.glob("*.json")) if file != things.SCENES]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def asked_of(session: Session, strategy: str, there: str, absent: str) -> list[AskedThing]:
    """Choose what is asked about: what a visitor has typed, else what is known of the scene."""
    if there.strip() or absent.strip():
        return things.typed(there, absent)
    if session.seed is None:
        raise BadMessage("Please name a few things that are in the picture, or that are not.")
    return things.asked_of_scene(scenes.make(session.seed), strategy)


def named_in(session: Session, there: str) -> list[tuple[str, ...]]:
    """List what is in the picture, each thing with other words for it."""
    if there.strip():
        return things.groups(there)
    if session.seed is None:
        raise BadMessage("Please name the things that are in the picture.")
    return [(name,) for name in things.names_in(scenes.make(session.seed))]


def _chance(method: str) -> dict:
    random = chance_of(method)
    return {"random": random, "random_title": title_of(random)}


def _probe(
    app_state: AppState, session: Session, message: ProbeMessage, stop: Stop
) -> Iterator[dict]:
    asked = asked_of(session, message.strategy, message.there, message.absent)
    rows: list[dict] = []
    told = _chance(message.method)
    yield told | {"progress": [0, len(asked)], "rows": []}
    for found in app_state.use_cases.probe(
        session.request, asked, message.method, cache=app_state.cache, stop=stop
    ):
        rows.append(probed_payload(found))
        yield {"progress": [len(rows), len(asked)], "rows": list(rows)}
    yield {"done": True}


def _describe(
    app_state: AppState, session: Session, message: DescribeMessage, stop: Stop
) -> Iterator[dict]:
    there = named_in(session, message.there)
    found: list[dict] = []
    yield _chance(message.method) | {"captions": []}
    for caption in app_state.use_cases.describe(
        session.request, there, message.method, cache=app_state.cache, stop=stop
    ):
        found.append(caption_payload(caption))
        yield {"captions": list(found)}
    yield {"done": True}


def _stability(
    app_state: AppState, session: Session, message: StabilityMessage, stop: Stop
) -> Iterator[dict]:
    found = app_state.use_cases.stability(
        session.request, message.method, message.budget, cache=app_state.cache, stop=stop
    )
    if found is not None:
        yield {"done": True, "found": stability_payload(found)}


def _word(
    app_state: AppState, session: Session, message: CaptionWordMessage, stop: Stop
) -> Iterator[dict]:
    request = replace(session.request, question=captions.QUESTION)
    target = Target(message.word, message.text, message.words)
    renumber = picked.renumbers(message.method)
    for step in app_state.use_cases.explain(
        request, target, "removed", renumber, cache=app_state.cache
    ):
        if isinstance(step, Progress):
            yield {"progress": [step.done, step.total]}
        else:
            yield {"done": True, "found": importance_payload(step)}


TASKS: dict[str, tuple[type[Message], Task]] = {
    "probes": (ProbeMessage, _probe),
    "captions": (DescribeMessage, _describe),
    "stability": (StabilityMessage, _stability),
    "word": (CaptionWordMessage, _word),
}
