"""Choosing a model: it loads beside everything else, tells how far it is, and can be cancelled.

Wiring only. A load never takes the place of an event that runs a model; once the model is there the
open case is asked again with it. When it can't be had, the page says why and stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import gradio as gr

from explorer import link, zoo
from explorer.errors import VisitorError
from explorer.shelf import Cancelled, Loading
from explorer.ui import parts
from explorer.ui.desk import Desk, Visit

if TYPE_CHECKING:
    from explorer.ui.opening import Opening

AT_ONCE = 16  # visitors who may watch a load at the same time
PAUSE = 0.3  # seconds between two looks at how far it is


def build() -> gr.HTML:
    """Make the row at the top of the page; values as those of `parts.lines`, and `busy`."""
    return parts.block(
        '<div class="vt-notes vt-loading"></div>',
        "explorer.mountLoading(element, props, watch, trigger) /* 'cancel' */",
        elem_id="vt-model-notes",
    )


def wire(opening: Opening, desk: Desk, on_model: dict, page: gr.Blocks) -> None:
    """Let a choice load its model, and then open the case with it.

    The page opens with a finished example, and those are pico's: a page that begins with another
    model chooses it by itself, unless a link knows better what to open.
    """
    model, notes, visit = opening.model, opening.model_notes, opening.tab.visit
    there = gr.State(None)
    # Even numbers are choices; the odd one behind each is taken when that choice is cancelled.
    numbers = count(2, 2)

    def load(key: str, visit: Visit, request: gr.Request) -> Iterator[dict]:
        number, session = next(numbers), request.session_hash
        desk.picks.announce(session, number)
        name = zoo.entry(key).name
        loading = zoo.shelf().want(key, anew=True)
        yield {there: None, notes: busy(name, loading)}
        try:
            while not loading.ended.wait(PAUSE):
                newest = desk.picks.newest(session)
                if newest == number + 1:
                    yield {model: visit.model, notes: parts.lines("note", f"{name}: cancelled.")}
                if newest != number:
                    return
                yield {notes: busy(name, loading)}
            loading.result()
        except VisitorError as error:
            yield {model: visit.model, notes: parts.lines("error", str(error))}
        except Cancelled:  # given up in the moment in which we asked
            yield {model: visit.model, notes: parts.lines("error", f"Please choose {name} again.")}
        else:
            yield {there: key, notes: parts.lines("busy", f"Asking {name} …")}
        finally:
            zoo.shelf().leave(loading)

    def begin(key: str, visit: Visit, request: gr.Request) -> Iterator[dict]:
        if any(name in link.NAMES for name in request.query_params):
            yield {there: None}
        else:
            yield from load(key, visit, request)

    def cancel(request: gr.Request) -> None:
        desk.picks.announce(request.session_hash, desk.picks.newest(request.session_hash) | 1)

    def ask(key: str | None, visit: Visit) -> Iterator[dict]:
        if key is None:
            yield {notes: gr.skip()}  # a generator that gives nothing would empty every block
        else:
            yield from opening.other_model(key, visit)

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    watching = {"concurrency_id": "loading", "concurrency_limit": AT_ONCE}
    blocks = {"inputs": [model, visit], "outputs": [there, model, notes]}
    ways = [model.input(load, trigger_mode="multiple", **blocks, **quiet, **watching)]
    if model.value != zoo.DEFAULT:
        ways.append(page.load(begin, **blocks, **quiet, **watching))
    for loaded in ways:
        loaded.success(ask, [there, visit], opening.outputs(), **quiet, **on_model)
    notes.cancel(cancel, None, None, queue=False, **quiet)


def busy(name: str, loading: Loading) -> dict:
    """Give the value of the row while a model loads."""
    progress = loading.progress
    row = {"detail": zoo.told(progress), "share": progress.share, "cancel": True}
    return parts.lines("busy", f"Loading {name} …") | row
