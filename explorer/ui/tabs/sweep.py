"""The tab "Sweep": several methods over a ladder of budgets on the open picture.

Layout and wiring only. The browser asks for the answers that it doesn't know, keeps them where the
other tabs look, too, and draws them with the plotly.js that comes with the package `plotly`.
"""

from __future__ import annotations

import gradio as gr

from explorer.analyses import comparison, sweep
from explorer.ui import components
from explorer.ui.session import AppState
from explorer.ui.tabs import answer_stream

PACE = answer_stream.StreamRate(at_once=128, handful=12)  # five methods and five draws at once


def build(desk: AppState, visit: gr.State, on_model: dict) -> None:
    """Lay out the tab and wire it. visit: what the visitor looks at in the tab "Explore"."""
    given = {"draws": list(comparison.DRAWS), "first": list(sweep.FIVE)}
    board = components.html_block(
        '<div class="vt-sweep"></div>',
        "mountSweep",
        given | {"reply": None},
        elem_id="vt-sweep",
    )
    asking = components.outbound("mountSweepRequest", "work", "announce")
    answer_stream.wire(asking, board, given, desk, desk.sweeping, visit, on_model, PACE)
