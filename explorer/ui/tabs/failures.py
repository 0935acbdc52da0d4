"""The tab "Failures": scenes or own pictures on which a method fails and another does not.

Wiring only. The browser asks for a few questions at a time, so that other visitors get their turn
and a search can be stopped at any moment. Own pictures stay in the browser: each is uploaded when
its turn comes, and deleted as soon as it has been looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import gradio as gr

from explorer.analyses import failures
from explorer.analyses.failures import Asked, Failure
from explorer.analyses.failures.own_pictures import read_lines
from explorer.cases.generation import FULL
from explorer.cases.pictures import open_beside
from explorer.errors import NotUploaded, VisitorError
from explorer.media.image import picture_url
from explorer.methods import catalog
from explorer.methods.catalog import title
from explorer.pico.data import scenes
from explorer.ui import components
from explorer.ui.payloads.encoding import rounded
from explorer.ui.requests import Channel, serve_request
from explorer.ui.session import AppState, Session, UseCases
from explorer.ui.tab_messages import FailuresMessage, OwnLinesMessage, OwnPicturesMessage, OwnRow
from explorer.ui.web import uploads
from explorer.ui.web.model_queue import ModelQueue, Stop
from explorer.vlm.loader import default_loader

MAX_SCENES = {True: 4, False: 1}  # scenes of one event; few where a model takes its time
MAX_PICTURES = 50  # own pictures of one search
THUMB_SIDE = 144  # pixels


def build(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Lay out the tab and wire it. session: what the visitor looks at in the tab "Explore"."""
    methods = [
        {"key": method.spec, "title": title(method.spec), "group": catalog.group_of(method)}
        for method in catalog.choices()
        if not method.slow
    ]
    settings = {
        "methods": methods,
        "against": [{"key": FULL, "title": "all tokens"}, *methods],
        "right": failures.RIGHT,
        "first": failures.FIRST_SEED,
        "pictures": MAX_PICTURES,
        "reply": None,
    }
    panel = components.html_block(
        '<div class="vt-failures"></div>',
        "mountFailures",
        settings,
        elem_id="vt-failures",
    )

    def find(session: Session, message: FailuresMessage, stop: Stop) -> Iterator[dict]:
        yield from hits(app_state.use_cases, message, session.model)

    channel = Channel(
        "failures",
        components.outbound("mountFailuresRequest", "find", "announce"),
        panel,
        session,
        event="find",
        tickets=app_state.tickets,
        envelope=lambda reply: settings | {"reply": reply},
        defaults={"looked": 0, "hits": []},
    )
    serve_request(channel, FailuresMessage, find, model_queue.of_long_jobs)
    _wire_own(app_state, session, model_queue)


def _wire_own(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Make the two ways in which own pictures are asked about: a file read, pictures judged."""

    def read(session: Session, message: OwnLinesMessage, stop: Stop) -> Iterator[dict]:
        lines, bad = read_lines(message.text.encode("utf-8", "replace"))
        told = [
            {
                "number": line.number,
                "picture": line.picture,
                "question": line.prompt,
                "answer": line.answer,
            }
            for line in lines
        ]
        yield {"lines": told, "bad": [str(line) for line in bad], "done": True}

    def judge(session: Session, message: OwnPicturesMessage, stop: Stop) -> Iterator[dict]:
        yield from own_hits(app_state.use_cases, message, session.model)

    for name, kind, handler, unbegun in (
        ("lines", OwnLinesMessage, read, None),
        ("pictures", OwnPicturesMessage, judge, _discard),
    ):
        channel = Channel(
            f"own {name}",
            components.outbound("mountOwnRequest", "judge", "announce", name=name),
            components.inbound("mountOwnReply", name=name),
            session,
            event="judge",
            tickets=app_state.tickets,
            defaults={"looked": 0, "hits": [], "bad": []},
        )
        serve_request(channel, kind, handler, model_queue.of_long_jobs, unbegun)


def _discard(message: OwnPicturesMessage) -> None:
    """Delete the uploads of a search that was stopped before it came to them."""
    for row in message.rows:
        with suppress(NotUploaded):
            uploads.discard(uploads.check(row.path))


def hits(use_cases: UseCases, message: FailuresMessage, model: str) -> Iterator[dict]:
    """Look at the next few scenes; looked: how many those were."""
    live = default_loader().catalog.entry(model).live
    count = min(message.count, MAX_SCENES[live])
    seeds = range(message.first, message.first + count)
    how = (message.against, model, message.right)
    found = use_cases.find_failures(message.method, message.budget, seeds, *how)
    yield {"looked": count, "hits": [_hit(each) for each in found if each is not None]}


def own_hits(use_cases: UseCases, message: OwnPicturesMessage, model: str) -> Iterator[dict]:
    """Look at a few own pictures and delete them; looked: how many questions those were.

    bad: what could not be opened or asked, by the name of its picture.
    """
    bad: list[str] = []
    found: list[dict] = []
    how = (message.method, message.budget, message.against, model, message.right)
    paths: set[str] = set()
    try:
        for number, row in enumerate(message.rows):
            try:
                path = uploads.check(row.path)
                paths.add(path)
                asked = _asked(row, path)
            except VisitorError as error:
                bad.append(f"{row.name}: {error}")
                continue
            for failure in use_cases.judge_pictures([asked], *how):
                found.append(_hit(failure) | {"row": number})
    finally:
        for path in paths:
            uploads.discard(path)
    yield {"looked": len(message.rows), "hits": found, "bad": bad, "done": True}


def _asked(row: OwnRow, path: str) -> Asked:
    answer = (row.answer or "").strip() or None
    return Asked(open_beside(path), row.question, answer, name=row.name)


def _hit(found: Failure) -> dict:
    thumb = "" if found.seed is None else picture_url(scenes.make(found.seed).image, THUMB_SIDE)
    return {
        "seed": found.seed,
        "picture": found.picture,
        "question": found.question,
        "kind": found.kind,
        "truth": found.truth,
        "wrong": found.wrong,
        "sure": found.sure,
        "drop": rounded(found.log_prob_loss),
        "src": thumb,
    }
