"""The tab "Sweep": several methods over a ladder of budgets on the open picture.

Layout and wiring only. The browser asks for the answers that it doesn't know, keeps them where the
other tabs look, too, and draws them with the plotly.js that comes with the package `plotly`.
"""

from __future__ import annotations

from importlib.resources import files

import gradio as gr

from explorer import comparison, sweeps
from explorer.ui import parts, replies
from explorer.ui.desk import Desk

PLOTLY = str(files("plotly") / "package_data" / "plotly.min.js")
HANDFUL = 12  # answers of one reply


def build(desk: Desk, visit: gr.State, on_model: dict) -> None:
    """Lay out the tab and wire it. visit: what the visitor looks at in the tab "Explore"."""
    gr.set_static_paths([PLOTLY])  # fetched when the tab is first opened, never from elsewhere
    given = {"draws": list(comparison.DRAWS), "first": list(sweeps.FIVE), "plotly": PLOTLY}
    board = parts.block(
        '<div class="vt-sweep"></div>',
        "explorer.mountSweep(element, props, watch)",
        given | {"reply": None},
        elem_id="vt-sweep",
    )
    asking = parts.block(
        "<i hidden></i>",
        "explorer.mountSweeping(element, props, trigger) /* 'work' 'announce' */",
        elem_classes="vt-sender",
    )
    replies.wire(asking, board, given, desk, desk.sweeping, visit, on_model, HANDFUL)
