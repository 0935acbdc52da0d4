"""For a class: the place where a lesson speaks, and how it asks what a student's patches answer.

Layout and wiring only. Lessons are read by explorer/ui/explore/lessons.py and driven by the scripts
in assets/page/classroom, which are fetched when one is opened.
"""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from explorer.ui import components
from explorer.ui.messages import PickMessage
from explorer.ui.requests import Channel, ModelQueue, Stop, serve_request
from explorer.ui.session import AppState, Session
from explorer.ui.tabs import debug


def build() -> None:
    """Make the place of the lesson, above all tabs."""
    components.html_block(
        '<aside class="vt-lesson" aria-label="Lesson" hidden></aside>',
        "mountLesson",
        elem_id="vt-lesson",
    )


def wire(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Connect the guess of patches. session: what the visitor looks at."""
    channel = Channel(
        "lesson",
        components.outbound("mountGuess", "announce", "work"),
        components.inbound("mountGuessed"),
        session,
        event="work",
        tickets=app_state.tickets,
    )
    _, pick = debug.TASKS["pick"]

    def work(session: Session, message: PickMessage, stop: Stop) -> Iterator[dict]:
        yield from pick(app_state, session, message)

    serve_request(channel, PickMessage, work, model_queue)
