"""The page's own components: Gradio HTML blocks that draw in JavaScript, and the picture input.

Their templates are constant and hold no data; data goes in as values and is written with
`textContent` (anything in a template could run as a script). The scripts are in assets/page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import gradio as gr
import orjson

from explorer.errors import NotUploaded
from explorer.ui.web import uploads


@dataclass(frozen=True)
class Lines:
    """Values as JSON, one to a line: each adds to those before it."""

    text: str


def growing(values: Iterable[object]) -> Iterator[Lines]:
    """Give each value behind all before it, of which only the new line goes to the browser."""
    text = ""
    for value in values:
        text += ("\n" if text else "") + as_text(value)
        yield Lines(text)


def as_text(value: object) -> str:
    """Write a value as JSON in one line; NaN and infinity, which JSON hasn't, become null."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()


class Block(gr.HTML):
    """A block of HTML whose value goes to the browser as JSON text; see `valueOf` in bridge.js.

    Gradio's scripts copy and observe every part of a nested value whenever any of it changes, which
    takes seconds for the answers of all methods. A text has one part, and of a text that begins as
    the last one Gradio sends the rest alone.
    """

    is_template = True  # drawn in the browser as plain HTML

    def postprocess(self, value: object) -> str | None:
        """Write the value, or lines of values, as text; None stays."""
        if isinstance(value, Lines):
            return value.text
        return None if value is None else as_text(value)


BLOCK = "{ element, props, watch, trigger }"  # what Gradio gives to the script of a block


def html_block(
    template: str,
    mount: str,
    value: object = None,
    events: tuple[str, ...] = (),
    name: str | None = None,
    **kwargs,
) -> gr.HTML:
    """Make one block with a constant template, which a function of assets/page/main.js mounts once.

    events: what it may trigger. name: which of several alike it is; see `mount` there.
    """
    called = "" if name is None else f", '{name}'"
    offered = " ".join(f"'{event}'" for event in events)  # Gradio looks for quoted names
    return Block(
        value=value,
        html_template=template,
        js_on_load=f"explorer.then((page) => page.{mount}({BLOCK}{called})) /* {offered} */",
        apply_default_css=False,
        **kwargs,
    )


def stage(value: dict | None) -> gr.HTML:
    """Make the middle column: method, picture with scores, budget. value: a case payload."""
    return html_block(
        '<div class="vt-stage"></div>',
        "mountStage",
        value,
        elem_id="vt-stage",
    )


def readout() -> gr.HTML:
    """Make the right column: answers, cost, dominance. value: {ticket, case, answers}."""
    return html_block(
        '<div class="vt-readout"></div>',
        "mountReadout",
        elem_id="vt-readout",
    )


def outbound(mount: str, *events: str, name: str | None = None) -> gr.HTML:
    """Make a hidden block through which a script of the page sends messages; see `html_block`."""
    return html_block("<i hidden></i>", mount, events=events, name=name, elem_classes="vt-sender")


def inbound(mount: str, name: str | None = None) -> gr.HTML:
    """Make a hidden block through which a script of the page gets replies; see `html_block`."""
    return html_block("<i hidden></i>", mount, name=name, elem_classes="vt-sender")


def ask() -> gr.HTML:
    """Make the sender of one question: {case, method, budget, ticket}, events ask, announce."""
    return outbound("mountAsk", "ask", "announce")


def fill() -> gr.HTML:
    """Make the sender of a few questions: {case, method, budgets, ticket}, event fill."""
    return outbound("mountFill", "fill")


def opening() -> gr.HTML:
    """Make the sender of what the visitor wants to open, events open, announce."""
    return outbound("mountOpening", "open", "announce")


def thumbs(items: list[dict]) -> gr.HTML:
    """Make the strip of example pictures."""
    return html_block(
        '<div class="vt-thumbs"></div>',
        "mountThumbs",
        {"items": items},
        elem_id="vt-examples",
    )


def scene_inputs() -> gr.HTML:
    """Make the button and the seed of another scene."""
    return html_block('<div class="vt-scene"></div>', "mountScene", elem_id="vt-scene")


def question_inputs() -> gr.HTML:
    """Make the question, its suggestions, and the right answer that a visitor may know."""
    return html_block(
        '<div id="vt-question"></div>',
        "mountQuestion",
        elem_id="vt-ask",
    )


def model_input(
    models: list[tuple[str, str]], chosen: str, resolutions: dict[str, list[tuple[str, str]]]
) -> gr.HTML:
    """Make the list of models, event choose. models: title and key of each.

    resolutions: title and key of each at which a model can look, by the model's key; first that
    which it takes unasked.
    """
    return html_block(
        '<span class="vt-select"></span>',
        "mountModels",
        {"models": models, "chosen": chosen, "resolutions": resolutions},
        events=("choose",),
        elem_id="vt-model",
    )


def lines(kind: str, *texts: str) -> dict:
    """Give the value of a note: kind is "error", "note" or "busy"."""
    return {"kind": kind, "lines": list(texts)}


def notes(elem_id: str, value: dict | None = None) -> gr.HTML:
    """Make a place for sentences, read out by screen readers as they come."""
    return html_block(
        '<div class="vt-notes" aria-live="polite"></div>',
        "mountNotes",
        value,
        elem_id=elem_id,
    )


class PictureInput(gr.Image):
    """An image input that hands over the uploaded file untouched, for our own guard to open.

    Gradio's would fail on a bad file with words of its own, and ignores EXIF for files.
    """

    is_template = True  # drawn in the browser as a plain image input

    def preprocess(self, payload) -> str | None:
        """Give the path of the upload, once it is sure to be one; see `uploads.check`."""
        return _uploaded(payload)


class WholeInput(gr.Number):
    """A number input that hands over what was sent: whether that will do, who answers will say.

    Gradio's would round 64.6, take true for 1, and fail on a text with words of its own.
    """

    is_template = True

    def preprocess(self, payload: object) -> object:
        """Give the number, a whole one as an integer: some clients know no others."""
        whole = isinstance(payload, float) and payload.is_integer()
        return int(payload) if whole else payload


class FileInput(gr.File):
    """A file input that hands over the path of an upload, and of nothing else."""

    is_template = True

    def preprocess(self, payload) -> str | None:
        """Give the path of the upload, once it is sure to be one; see `uploads.check`."""
        return _uploaded(payload)


def _uploaded(payload) -> str | None:
    if payload is None:
        return None
    try:
        return uploads.check(payload.path)
    except NotUploaded as error:
        raise gr.Error(str(error), print_exception=False) from None
