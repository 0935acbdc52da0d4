"""Choosing a model: it loads beside everything else, tells how far it is, and can be cancelled.

Wiring only. A load never takes the place of an event that runs a model; once the model is there the
open case is asked again with it. When it can't be had, the page says why and stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import gradio as gr

from explorer.errors import UnknownModel, VisitorError
from explorer.ui import components, link
from explorer.ui.explore.open_case import CaseOpener
from explorer.ui.messages import ModelMessage
from explorer.ui.requests import checked, connect
from explorer.ui.session import AppState, Session, visitor_of
from explorer.ui.web.model_queue import ModelQueue
from explorer.vlm.catalog import DEFAULT, RESOLUTIONS
from explorer.vlm.loader import default_loader, describe_progress
from explorer.vlm.model_cache import Cancelled, Loading

MAX_WATCHING = 16  # visitors who may watch a load at the same time
CHANNEL = "model"  # of the tickets of choices
PAUSE = 0.3  # seconds between two looks at how far it is


def build() -> gr.HTML:
    """Make the row at the top of the page; values as those of `components.lines`, and `busy`."""
    return components.html_block(
        '<div class="vt-notes vt-loading"></div>',
        "mountLoading",
        events=("cancel",),
        elem_id="vt-model-notes",
    )


def choice(chosen: str) -> gr.HTML:
    """Make the list of models, with the resolutions of those that cut pictures up."""
    loader = default_loader()
    entries = loader.catalog.entries()
    resolutions = {}
    for key, entry in entries.items():
        first = loader.suggested(key)
        keys = [(RESOLUTIONS[name][0], f"{key}@{name}") for name in entry.resolutions]
        if keys:  # a key without a resolution is that of the full one
            resolutions[key] = sorted(
                keys, key=lambda each: loader.catalog.entry(each[1]).key != first
            )
    return components.model_input(
        [(entry.title, key) for key, entry in entries.items()], chosen, resolutions
    )


@dataclass(frozen=True)
class Choosing:
    """The handlers of a choice. there: the block that tells which model has just been loaded.

    first: the model that the app was started with.
    numbers: even ones are choices; the odd one behind each is taken when that choice is cancelled.
    """

    opener: CaseOpener
    app_state: AppState
    there: gr.State
    first: str
    numbers: Iterator[int] = field(default_factory=lambda: count(2, 2))

    def choose(self, message: ModelMessage, request: gr.Request) -> Iterator[dict]:
        """Take a visitor's choice."""
        yield from self.load(message.chosen, message.method, request)

    def load(self, key: str, method: str | None, request: gr.Request) -> Iterator[dict]:
        """Load the model, or wait while somebody else's choice loads it. method: as in `ask`."""
        notes, there = self.opener.model_notes, self.there
        number, tickets = next(self.numbers), self.app_state.tickets
        tickets.announce(visitor_of(request), CHANNEL, number)
        try:
            entry = default_loader().catalog.entry(key)
        except UnknownModel:
            return
        key, weights = entry.key, entry.of or entry.key
        name = default_loader().catalog.entry(weights).name
        loading = default_loader().models.acquire(weights, retry=True)
        yield {there: None, notes: busy(name, loading)}
        try:
            while not loading.done(within=PAUSE):
                newest = tickets.newest(visitor_of(request), CHANNEL)
                if newest == number + 1:
                    yield {notes: components.lines("note", f"{name}: cancelled.")}
                if newest != number:
                    return
                yield {notes: busy(name, loading)}
            loading.result()
        except VisitorError as error:
            yield {notes: components.lines("error", str(error))}
        except Cancelled:  # given up in the moment in which we asked
            yield {notes: components.lines("error", f"Please choose {name} again.")}
        else:
            asking = components.lines("busy", f"Asking {entry.name} …")
            yield {there: (key, method), notes: asking}
        finally:
            default_loader().models.release(loading)

    def begin(self, request: gr.Request) -> Iterator[dict]:
        """Load the model that the app was started with; a link knows better what to open."""
        if any(name in link.NAMES for name in request.query_params):
            yield {self.there: None}
        else:
            yield from self.load(default_loader().suggested(self.first), None, request)

    def cancel(self, request: gr.Request) -> None:
        """Stop waiting for the model that was chosen last."""
        tickets, visitor = self.app_state.tickets, visitor_of(request)
        tickets.announce(visitor, CHANNEL, tickets.newest(visitor, CHANNEL) | 1)

    def ask(self, there: tuple[str, str | None] | None, session: Session) -> Iterator[dict]:
        """Open the case of the page with the model that is there now.

        there: its key, and the method that the visitor looked at when he chose it.
        """
        if there is not None:
            key, method = there
            yield from replace(self.opener, looked_at=method).other_model(key, session)


def wire(
    opener: CaseOpener,
    model: gr.HTML,
    first: str,
    app_state: AppState,
    model_queue: ModelQueue,
    page: gr.Blocks,
) -> None:
    """Let a choice load its model, and then open the case with it.

    model: the list of models, see `components.model_input`; first: the one that is chosen there.
    The page opens with a finished example, and those are pico's: a page that begins with another
    model chooses it by itself.
    """
    notes, session = opener.model_notes, opener.tab.session
    choosing = Choosing(opener, app_state, gr.State(None), first)
    watching = {"concurrency_id": "loading", "concurrency_limit": MAX_WATCHING}
    outputs = [choosing.there, notes]
    chosen = {"trigger_mode": "multiple"} | watching
    choose = checked(ModelMessage, notes, choosing.choose)
    ways = [connect(model.choose, choose, [model], outputs, **chosen)]
    if first != DEFAULT:
        ways.append(connect(page.load, choosing.begin, None, outputs, **watching))
    for loaded in ways:
        there = [choosing.there, session]
        connect(loaded.success, choosing.ask, there, opener.outputs(), model_queue)
    connect(notes.cancel, choosing.cancel, None, None, queue=False)


def busy(name: str, loading: Loading) -> dict:
    """Give the value of the row while a model loads."""
    progress = loading.progress
    row = {"detail": describe_progress(progress), "share": progress.share, "cancel": True}
    return components.lines("busy", f"Loading {name} …") | row
