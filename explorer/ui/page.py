"""The whole page: header, tabs, public endpoints, and how it is launched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr
from starlette.middleware import Middleware

from explorer.cases import gpu
from explorer.errors import CannotStart
from explorer.ui import components, endpoints, examples
from explorer.ui.explore import layout, lessons, maps, model_picker
from explorer.ui.session import AppState, UseCases, visitor_of
from explorer.ui.tabs import (
    classroom,
    compare,
    debug,
    effects,
    failures,
    glossary,
    inside,
    leaderboard,
    methods,
    region,
    sweep,
    video,
)
from explorer.ui.web import scripts, session_states, startup, uploads
from explorer.ui.web.model_queue import ModelQueue
from explorer.ui.web.presence import Presence
from explorer.ui.web.request_limits import RequestLimits
from explorer.ui.web.session_states import SessionStates
from explorer.ui.web.uploads import UploadLimits
from explorer.vlm.catalog import DEFAULT
from explorer.vlm.turns import limits
from explorer.vlm.turns.fair_queue import FairQueue

TITLE = "Visual token explorer"
HEAD = (
    f'<h1>{TITLE}</h1><a class="vt-skip" href="#vt-budget">Skip to the budget slider</a>'
    '<p class="vt-tagline">The model sees <b>%d</b> pieces of the picture; drag to throw some '
    'away. <a class="vt-how" href="?lesson=tokens&amp;step=1">How does this work?</a> '
    '<button type="button" class="vt-present" title="For a projector (key P)">Present</button></p>'
)
THREADS = limits.MAX_RUNS + 32  # runs wait in theirs; others are for what runs no model
QUEUE = 200  # events that may wait for a thread; more get a sentence instead of a place


def build(at_once: int = 1, model: str = DEFAULT, use_cases: UseCases | None = None) -> gr.Blocks:
    """Build the page.

    at_once: how many visitors may run a model at the same time. model: the one to begin with.
    use_cases: what answers the page instead of models.
    """
    queue = FairQueue(at_once, sliced=not gpu.ON_ZEROGPU)
    app_state = AppState(use_cases or UseCases(), fair_queue=queue)
    model_queue = ModelQueue(queue)
    with gr.Blocks(title=TITLE, delete_cache=(3600, 3600), analytics_enabled=False) as page:
        with gr.Row(elem_id="vt-header"):
            pieces = examples.load(examples.names()[0])["case"]["grid"]["n"]
            components.html_block(HEAD % pieces, "mountHeader")
            models = model_picker.choice(model)
        model_notes = model_picker.build()
        classroom.build()
        glossary.build()
        with _tab("Explore"):
            tab = layout.build(app_state, models, model, model_notes, model_queue, page)
            maps.wire(app_state, tab.session, model_queue)
            classroom.wire(app_state, tab.session, model_queue)
        with _tab("Compare"):
            compare.build(app_state, tab.session, model_queue)
        with _tab("Sweep"):
            sweep.build(app_state, tab.session, model_queue)
        with _tab("Debug"):
            debug.build(app_state, tab.session, model_queue)
            region.build(app_state, tab.session, model_queue)
        with _tab("Inside"):
            inside.build(app_state, tab.session, model_queue)
        with _tab("Effects"):
            effects.build(app_state, tab.session, model_queue)
        with _tab("Failures"):
            failures.build(app_state, tab.session, model_queue)
        with _tab("Video") as video_tab:
            video.build(app_state, video_tab, tab.session, model_queue)
        with gr.Tab("Methods", elem_id="vt-tab-methods"):
            glossary.row("Methods")
            leaderboard.build()
            methods.build()
        endpoints.build(app_state, model_queue)

        def leave(request: gr.Request) -> None:
            visitor = visitor_of(request)
            app_state.tickets.forget(visitor)
            app_state.files.forget(visitor)

        page.unload(leave)
    page.queue(max_size=QUEUE, default_concurrency_limit=None)
    return page


@contextmanager
def _tab(name: str) -> Iterator[gr.Tab]:
    """Make a tab, with the definitions of its words below all that is put into it."""
    with gr.Tab(name, elem_id=f"vt-tab-{name.lower()}") as tab:
        yield tab
        glossary.row(name)


def prepare_files() -> None:
    """Look for the files of the page, and make the folder for those of visitors."""
    startup.check_scripts()
    lessons.load()
    glossary.terms()
    if not examples.names():
        raise CannotStart("The folder assets/examples is empty or missing; please clone again.")
    startup.delete_at_the_end(uploads.own_folder())


def launch_settings() -> dict:
    """Give what `launch` needs to know about the look and the limits of the page."""
    presence = Presence()
    return {
        "theme": gr.themes.Default(
            primary_hue="indigo",
            neutral_hue="zinc",
            radius_size="md",
            spacing_size="sm",
            # Gradio ships two weights of it; asking for others would fall back to another font.
            font=[gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "sans-serif"],
        ),
        "css": scripts.styles(),
        "head": scripts.head(),
        "app_kwargs": scripts.web_app(
            Middleware(RequestLimits, presence),
            Middleware(UploadLimits),
            Middleware(SessionStates, presence),
            documents={"lessons.json": lessons.payload(lessons.load())},
            lasting=dict([examples.opening_rest()]),
        ),
        "max_threads": THREADS,
        "max_file_size": uploads.MAX_FILE,
        "run_history": False,
        "footer_links": ["api"],
        "show_error": True,
        # Else Gradio asks itself for the page, and ends the app if that takes three seconds, as it
        # does where visitors wait for a restart.
        "_frontend": False,
        "state_session_capacity": session_states.MAX_PRESENT + session_states.MAX_ABSENT,
    }
