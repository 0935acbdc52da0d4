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
from explorer.ui.web.model_queue import ModelQueue

RATE = answer_stream.StreamRate(max_answers=96, min_new_answers=5)


def build(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Lay out the tab and wire it. session: what the visitor looks at in the tab "Explore"."""
    settings = {"draws": list(comparison.DRAWS)}
    panel = components.html_block(
        '<div class="vt-compare"></div>',
        "mountCompare",
        settings | {"reply": None},
        elem_id="vt-compare",
    )
    outbound = components.outbound("mountCompareRequest", "work", "announce")
    answer_stream.wire("compare", outbound, panel, settings, app_state, session, model_queue, RATE)
