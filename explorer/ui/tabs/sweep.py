"""The tab "Sweep": several methods over a ladder of budgets on the open picture.

Layout and wiring only. The browser asks for the answers that it doesn't know, keeps them where the
other tabs look, too, and draws them with the plotly.js that comes with the package `plotly`.
"""

from __future__ import annotations

import gradio as gr

from explorer.analyses import comparison
from explorer.analyses.sweep import FIVE
from explorer.ui import components
from explorer.ui.session import AppState
from explorer.ui.tabs import answer_stream
from explorer.ui.web.model_queue import ModelQueue

RATE = answer_stream.StreamRate(
    max_answers=320, min_new_answers=12
)  # five methods and five draws of each of their randoms at once


def build(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Lay out the tab and wire it. session: what the visitor looks at in the tab "Explore"."""
    settings = {"draws": list(comparison.DRAWS), "first": list(FIVE)}
    panel = components.html_block(
        '<div class="vt-sweep"></div>',
        "mountSweep",
        settings | {"reply": None},
        elem_id="vt-sweep",
    )
    outbound = components.outbound("mountSweepRequest", "work", "announce")
    answer_stream.wire("sweep", outbound, panel, settings, app_state, session, model_queue, RATE)
