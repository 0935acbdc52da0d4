"""A second look at a region, in the tab "Debug": cells to choose, and four answers side by side.

Layout and wiring only. The reply grows while the answers are worked out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple

import gradio as gr

from explorer.analyses import api
from explorer.analyses.region_crop import RegionAnswer
from explorer.errors import BadRegion, VisitorError
from explorer.media import region
from explorer.media.region import Cells
from explorer.ui import components
from explorer.ui.payloads.encoding import rounded
from explorer.ui.session import AppState, Session

BEST = 0.1  # of the patches: what "around the best patches" means


def build(desk: AppState, visit: gr.State, on_model: dict) -> None:
    """Lay out the part and wire it. visit: what the visitor looks at in the tab "Explore"."""
    board = components.html_block(
        '<div class="vt-region"></div>',
        "mountRegion",
        {"cuts": region.CUTS, "reply": None},
        elem_id="vt-region",
    )
    asking = components.outbound("mountRegionRequest", "look")

    def look(asked: dict, visit: Session) -> Iterator[dict]:
        if not isinstance(asked, dict) or asked.get("case") != visit.id:
            return
        for reply in replies(desk, visit, asked):
            yield {"cuts": region.CUTS, "reply": reply | {"ticket": asked.get("ticket")}}

    asking.look(
        look,
        [asking, visit],
        [board],
        show_progress="hidden",
        api_visibility="private",
        trigger_mode="always_last",
        **on_model,
    )


def replies(desk: AppState, visit: Session, asked: dict) -> Iterator[dict]:
    """Give what is known by now, again and again."""
    case, method = (visit.model, visit.picture, visit.question), str(asked.get("method"))
    reply = {"case": visit.id, "cells": None, "looks": [], "done": False, "error": None}
    try:
        cells = _cells(asked, desk, case, method)
        reply |= {"cells": list(astuple(cells))}
        seen = cells.dilated() if asked.get("dilate") is True else cells
        reply |= {"seen": list(astuple(seen))}
        for found in api.second_looks(*case, seen, method, desk.memory):
            reply |= {"looks": [*reply["looks"], _told(found)]}
            yield reply
    except VisitorError as error:
        reply |= {"error": str(error)}
    yield reply | {"done": True}


def _cells(asked: dict, desk: AppState, case: tuple, method: str) -> Cells:
    """Read the chosen cells; none means those around the patches that the method likes best."""
    corners = asked.get("cells")
    if corners is None:
        analysis = api.analyse(*case, desk.memory)
        ready = {found.spec: found for found in analysis.methods}
        score = (ready.get(method) or api.draw(*case, method, desk.memory)).score
        size = (analysis.grid.width, analysis.grid.height)
        return region.covering(analysis.grid.boxes, score, BEST, size)
    whole = isinstance(corners, list) and all(type(corner) is int for corner in corners)
    if not whole or len(corners) != 4:
        raise BadRegion(
            "A region is four whole numbers: first column and row, last column and row."
        )
    return Cells(*corners)


def _told(found: RegionAnswer) -> dict:
    return {
        "mode": found.mode,
        "tokens": list(found.tokens),
        "text": found.text,
        "likely": rounded(found.likely),
        "same": found.same,
        "seconds": rounded(found.seconds),
        "error": found.error,
    }
