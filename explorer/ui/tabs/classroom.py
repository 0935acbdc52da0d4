"""For a class: the place where a lesson speaks, what a student's patches answer, and animations.

Layout and wiring only. Lessons are read by explorer/ui/explore/lessons.py and driven by the scripts
in assets/page/classroom, which are fetched when something of them is opened.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import gradio as gr

from explorer.analyses.sharing import animation
from explorer.ui import components
from explorer.ui.messages import AnimationMessage, Message
from explorer.ui.requests import Handler, serve_request, task_channel
from explorer.ui.session import AppState, Session
from explorer.ui.tab_messages import PickMessage
from explorer.ui.tabs import debug
from explorer.ui.web.model_queue import ModelQueue, Stop


def build() -> None:
    """Make the place of the lesson, above all tabs."""
    components.html_block(
        '<aside class="vt-lesson" aria-label="Lesson" hidden></aside>',
        "mountLesson",
        elem_id="vt-lesson",
    )


def wire(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Connect what lessons and animations ask. session: what the visitor looks at."""
    _, pick = debug.TASKS["pick"]

    def judge(session: Session, message: PickMessage, stop: Stop) -> Iterator[dict]:
        yield from pick(app_state, session, message)

    def animate(session: Session, message: AnimationMessage, stop: Stop) -> Iterator[dict]:
        yield _animation(app_state, session, message)

    def connect(name: str, kind: type[Message], handler: Handler) -> None:
        channel = task_channel("classroom", "mountClassroom", name, app_state, session)
        serve_request(channel, kind, handler, model_queue)

    connect("guess", PickMessage, judge)
    connect("animation", AnimationMessage, animate)


def _animation(app_state: AppState, session: Session, message: AnimationMessage) -> dict:
    """Draw the animation of a method at a budget, as a file that the browser saves."""
    use_cases, cache = app_state.use_cases, app_state.cache
    request, kind = session.request, message.kind
    answer = use_cases.answer(request, message.method, message.budget, cache=cache)
    grid = use_cases.analyse(request, cache=cache).grid
    data = animation.animate(answer, grid, session.picture.image, kind)
    return {
        "done": True,
        "name": f"tokens-{session.id}-{message.budget}.{kind}",
        "type": animation.TYPES[kind],
        "data": base64.b64encode(data).decode("ascii"),
    }
