"""The tab "Explore": a picture, a question, a method, a budget, and the answer that is left.

Layout and wiring only. The stage and the readout are drawn in the browser; the server hands over
one payload per case and then answers single questions of the form (method, budget).
"""

from __future__ import annotations

from dataclasses import replace

import gradio as gr

from explorer.ui import components, examples
from explorer.ui.explore import answers, model_picker, share
from explorer.ui.explore.blocks import Explore
from explorer.ui.explore.open_case import CaseOpener
from explorer.ui.explore.sessions import example_session
from explorer.ui.requests import connect
from explorer.ui.session import AppState
from explorer.ui.web.model_queue import ModelQueue, QueueHooks

PRIVACY = (
    "<details class='vt-small'><summary>Pictures are not stored.</summary>They are forgotten when "
    "you leave or upload another one. For a reload, your browser keeps yours in this tab.</details>"
)
# The page gives an upload its place among the visitor's other requests.
UPLOADED = "async (picture) => [picture, await (await explorer).takeUpload(picture), null]"


def build(
    app_state: AppState,
    model: gr.HTML,
    first_model: str,
    model_notes: gr.HTML,
    model_queue: ModelQueue,
    page: gr.Blocks,
) -> Explore:
    """Lay out the tab and wire it.

    model: the list of models; first_model: the one that is chosen there at first. model_queue: how
    every event that runs a model is served. page: what the tab is part of.
    """
    shown = examples.opening()
    with gr.Row(elem_id="vt-explore"):
        with gr.Column(elem_id="vt-left"):
            blocks = _inputs(shown)
        with gr.Column(elem_id="vt-middle"):
            stage = components.stage(shown["case"] | {"seed": shown["seed"]})
        with gr.Column(elem_id="vt-right"):
            readout = components.readout()
        with gr.Column(elem_id="vt-case"):
            sharing = share.build()
    components.html_block(
        '<div class="vt-enlarged" hidden></div>', "mountDominancePlot", elem_id="vt-larger"
    )
    tab = Explore(
        session=gr.State(replace(example_session(shown), untouched=True)),
        stage=stage,
        readout=readout,
        opening=components.opening(),
        opened=components.inbound("mountOpened"),
        ask=components.ask(),
        fill=components.fill(),
        share=sharing,
        **blocks,
    )
    opener = CaseOpener(tab, app_state, model_notes, share.open_file)
    _wire(tab, opener, model_queue)
    model_picker.wire(opener, model, first_model, app_state, model_queue, page)
    share.wire(tab, app_state, model_queue)
    answers.wire(tab, app_state, model_queue)
    return tab


def _inputs(shown: dict) -> dict[str, object]:
    gr.HTML("<h2>Picture</h2>", apply_default_css=False)
    picture = components.PictureInput(
        sources=["upload", "clipboard", "webcam"],
        type="filepath",
        image_mode=None,
        show_label=False,
        height=88,
        elem_id="vt-picture",
        buttons=[],
    )
    components.thumbs(examples.thumbs())
    components.scene_inputs()
    picture_notes = components.notes("vt-picture-notes")
    gr.HTML("<h2>Question</h2>", apply_default_css=False)
    components.question_inputs()
    question_notes = components.notes(
        "vt-question-notes", components.lines("note", *shown["case"]["notes"])
    )
    gr.HTML(PRIVACY, apply_default_css=False)
    return {
        "picture": picture,
        "picture_notes": picture_notes,
        "question_notes": question_notes,
    }


def _wire(tab: Explore, opener: CaseOpener, model_queue: ModelQueue) -> None:
    """Connect everything that opens another case; the newest request counts, whatever it is."""
    outputs = opener.outputs()
    hooks = QueueHooks(opener.is_stale, opener.refusal, unbegun=opener.unbegun)
    runs = {"queue": model_queue, "hooks": hooks}
    upload = [tab.picture, tab.opening, tab.session]
    taken = {"js": UPLOADED, "trigger_mode": "multiple"} | runs
    connect(tab.picture.input, opener.upload, upload, outputs, **taken)
    last = {"trigger_mode": "always_last"}
    connect(tab.opening.open, opener.open, [tab.opening, tab.session], outputs, **last, **runs)
    connect(tab.opening.announce, opener.announce, [tab.opening], None, queue=False, **last)
