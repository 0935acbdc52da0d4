"""The page's own components: Gradio HTML blocks that draw in JavaScript, and the picture input.

Their templates are constant and hold no data; data goes in as values and is written with
`textContent` (anything in a template could run as a script). The scripts are in assets/.
"""

from __future__ import annotations

import json
from importlib.resources import files

import gradio as gr

from explorer import ROOT

PLOTLY = str(files("plotly") / "package_data" / "plotly.min.js")  # the tab "Sweep" fetches it
ASSETS = ROOT / "assets"

SCRIPTS = (
    "nodes.js",
    "takeaway.js",
    "payload.js",
    "memory.js",
    "resting.js",
    "boards.js",
    "asking.js",
    "store.js",
    "wiring.js",
    "overlay.js",
    "methods.js",
    "picture.js",
    "curves.js",
    "budget.js",
    "crops.js",
    "stage.js",
    "answers.js",
    "costs.js",
    "dominance.js",
    "readout.js",
    "inputs.js",
    "loading.js",
    "travel.js",
    "finding.js",
    "cards.js",
    "compare-measures.js",
    "compare-asking.js",
    "compare-pictures.js",
    "compare-cards.js",
    "compare-pair.js",
    "compare-matrix.js",
    "compare.js",
    "sweep-measures.js",
    "sweep-asking.js",
    "sweep-plot.js",
    "sweep-table.js",
    "sweep.js",
    "debug-task.js",
    "debug-picking.js",
    "debug-stage.js",
    "debug-oracle.js",
    "debug-trial.js",
    "debug.js",
    "region.js",
    "filming.js",
    "film-frames.js",
    "film.js",
)


STYLES = (
    "explorer.css",
    "crops.css",
    "loading.css",
    "travel.css",
    "finding.css",
    "cards.css",
    "compare.css",
    "sweep.css",
    "debug.css",
    "region.css",
    "film.css",
)


def head() -> str:
    """Give the scripts of the page, in the order in which they need each other."""
    told = f"(window.explorer ??= {{}}).files = {json.dumps({'plotly': PLOTLY})};"
    texts = [told, *((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)]
    return "".join(f"<script>\n{text}\n</script>\n" for text in texts)


def styles() -> str:
    """Give the style sheet of the page."""
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in STYLES)


def html_block(template: str, on_load: str, value: object = None, **kwargs) -> gr.HTML:
    """Make one block with a constant template, mounted once by a line of JavaScript."""
    return gr.HTML(
        value=value,
        html_template=template,
        js_on_load=on_load,
        apply_default_css=False,
        **kwargs,
    )


def stage(value: dict | None) -> gr.HTML:
    """Make the middle column: method, picture with scores, budget. value: a case payload."""
    return html_block(
        '<div class="vt-stage"></div>',
        "explorer.mountStage(element, props, watch)",
        value,
        elem_id="vt-stage",
    )


def readout() -> gr.HTML:
    """Make the right column: answers, cost, dominance. value: {ticket, case, answers}."""
    return html_block(
        '<div class="vt-readout"></div>',
        "explorer.mountReadout(element, props, watch)",
        elem_id="vt-readout",
    )


def outbound(mount: str, *events: str, name: str | None = None) -> gr.HTML:
    """Make a hidden block with which a script of the page asks; see `mount` there.

    events: what it may trigger; Gradio offers those that stand quoted in the line. name: which of
    several alike it is.
    """
    quoted = " ".join(f"'{event}'" for event in events)
    return _hidden(f"{mount}(element, props, trigger{_named(name)}) /* {quoted} */")


def inbound(mount: str, name: str | None = None) -> gr.HTML:
    """Make a hidden block through which a script of the page gets replies; see `mount` there."""
    return _hidden(f"{mount}(element, props, watch{_named(name)})")


def _named(name: str | None) -> str:
    return "" if name is None else f", '{name}'"


def _hidden(call: str) -> gr.HTML:
    return html_block("<i hidden></i>", f"explorer.{call}", elem_classes="vt-sender")


def ask() -> gr.HTML:
    """Make the sender of one question: {case, method, budget, ticket}, events ask, announce."""
    return outbound("mountAsk", "ask", "announce")


def fill() -> gr.HTML:
    """Make the sender of a few questions: {case, method, budgets, ticket}, event fill."""
    return outbound("mountFill", "fill")


def enlarge() -> gr.HTML:
    """Make the sender of the wish for large curves: {case, method, budget, narrow}."""
    return outbound("mountEnlarge", "enlarge")


def thumbs(items: list[dict], chosen: str | None) -> gr.HTML:
    """Make the strip of example pictures, event pick."""
    return html_block(
        '<div class="vt-thumbs"></div>',
        "explorer.mountThumbs(element, props, watch, trigger) /* 'pick' */",
        {"items": items, "chosen": chosen, "asked": 0},
        elem_id="vt-examples",
    )


def chips_value(questions: list[str]) -> dict:
    """Give the value of the suggestions."""
    return {"questions": questions, "chosen": None, "asked": 0}


def chips(questions: list[str]) -> gr.HTML:
    """Make the row of suggested questions, event pick."""
    return html_block(
        '<div class="vt-chips"></div>',
        "explorer.mountChips(element, props, watch, trigger) /* 'pick' */",
        chips_value(questions),
        elem_id="vt-suggestions",
    )


def lines(kind: str, *texts: str) -> dict:
    """Give the value of a note: kind is "error", "note" or "busy"."""
    return {"kind": kind, "lines": list(texts)}


def notes(elem_id: str, value: dict | None = None) -> gr.HTML:
    """Make a place for sentences, read out by screen readers as they come."""
    return html_block(
        '<div class="vt-notes" aria-live="polite"></div>',
        "explorer.mountNotes(element, props, watch)",
        value,
        elem_id=elem_id,
    )


class PictureInput(gr.Image):
    """An image input that hands over the uploaded file untouched, for our own guard to open.

    Gradio's would fail on a bad file with words of its own, and ignores EXIF for files.
    """

    is_template = True  # drawn in the browser as a plain image input

    def preprocess(self, payload) -> str | None:
        """Give the path of the upload, which Gradio has already checked to be one."""
        return None if payload is None else payload.path
