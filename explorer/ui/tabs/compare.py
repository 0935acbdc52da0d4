"""The tab "Compare": all methods on the open picture at one budget.

Layout and wiring only. What methods keep is in the case that the browser already has; it asks for
the answers that it doesn't know, and the reply grows while they are worked out.
"""

from __future__ import annotations

import gradio as gr

from explorer.analyses import comparison
from explorer.ui import components
from explorer.ui.session import AppState
from explorer.ui.tabs import answer_stream

PACE = answer_stream.StreamRate(at_once=64, handful=5)


def build(desk: AppState, visit: gr.State, on_model: dict) -> None:
    """Lay out the tab and wire it. visit: what the visitor looks at in the tab "Explore"."""
    given = {"draws": list(comparison.DRAWS)}
    board = components.html_block(
        '<div class="vt-compare"></div>',
        "mountCompare",
        given | {"reply": None},
        elem_id="vt-compare",
    )
    asking = components.outbound("mountCompareRequest", "work", "announce")
    answer_stream.wire(asking, board, given, desk, desk.comparing, visit, on_model, PACE)
