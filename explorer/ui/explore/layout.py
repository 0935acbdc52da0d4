"""The tab "Explore": a picture, a question, a method, a budget, and the answer that is left.

Layout and wiring only. The stage and the readout are drawn in the browser; the server hands over
one payload per case and then answers single questions of the form (method, budget).
"""

from __future__ import annotations

from functools import partial

import gradio as gr

from explorer.ui import components, examples
from explorer.ui.explore import answers, model_picker, share
from explorer.ui.explore.blocks import Explore
from explorer.ui.explore.open_case import CaseOpener, example_session
from explorer.ui.messages import ExampleMessage, SuggestionMessage
from explorer.ui.requests import ModelQueue, checked, connect
from explorer.ui.session import AppState

PRIVACY = "Pictures are not stored: they are forgotten when you leave or upload another one."


def build(
    app_state: AppState,
    model: gr.Dropdown,
    model_notes: gr.HTML,
    model_queue: ModelQueue,
    page: gr.Blocks,
) -> CaseOpener:
    """Lay out the tab and wire it; gives the ways in which other tabs can open a case in it.

    model_queue: how every event that runs a model is served. page: what the tab is part of.
    """
    first = examples.names()[0]
    shown = examples.load(first)
    with gr.Row(elem_id="vt-explore"):
        with gr.Column(elem_id="vt-left"):
            blocks = _inputs(first, shown)
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
        session=gr.State(example_session(shown)),
        stage=stage,
        readout=readout,
        ask=components.ask(),
        fill=components.fill(),
        share=sharing,
        **blocks,
    )
    opener = CaseOpener(tab, app_state, model, model_notes)
    _wire(tab, opener, model, model_queue)
    model_picker.wire(opener, app_state, model_queue, page)
    share.wire(tab, opener, app_state, model_queue)
    answers.wire(tab, app_state, model_queue)
    return opener


def _inputs(first: str, shown: dict) -> dict[str, object]:
    gr.HTML("<h2>Picture</h2>", apply_default_css=False)
    picture = components.PictureInput(
        sources=["upload", "clipboard", "webcam"],
        type="filepath",
        image_mode=None,
        show_label=False,
        height=96,
        elem_id="vt-picture",
        buttons=[],
    )
    thumbs = components.thumbs(examples.thumbs(), first)
    with gr.Row(elem_id="vt-scene"):
        scene = gr.Button("New scene", size="sm")
        seed = gr.Number(
            shown["seed"], label="Seed of the scene", precision=0, minimum=0, elem_id="vt-seed"
        )
    picture_notes = components.notes("vt-picture-notes")
    gr.HTML("<h2>Question</h2>", apply_default_css=False)
    with gr.Row(elem_id="vt-ask"):
        question = gr.Textbox(
            shown["case"]["question"],
            show_label=False,
            label="Question",
            lines=1,
            max_lines=3,
            elem_id="vt-question",
        )
        asking = gr.Button("Ask", size="sm", elem_id="vt-ask-button")
    question_notes = components.notes(
        "vt-question-notes", components.lines("note", *shown["case"]["notes"])
    )
    chips = components.chips(shown["case"]["suggestions"])
    gr.HTML(f'<p class="vt-small">{PRIVACY}</p>', apply_default_css=False)
    return {
        "picture": picture,
        "thumbs": thumbs,
        "scene": scene,
        "seed": seed,
        "picture_notes": picture_notes,
        "question": question,
        "asking": asking,
        "question_notes": question_notes,
        "chips": chips,
    }


def _wire(tab: Explore, opener: CaseOpener, model: gr.Dropdown, model_queue: ModelQueue) -> None:
    """Connect everything that opens another case: picture, example, scene, question, model."""
    outputs, notes = opener.outputs(), tab.question_notes
    runs = {"queue": model_queue, "trigger_mode": "always_last"}
    upload = [tab.picture, tab.question, model, tab.session]
    connect(tab.picture.input, opener.upload, upload, outputs, **runs)
    connect(tab.scene.click, opener.some_scene, [model], outputs, **runs)
    connect(tab.seed.submit, opener.new_scene, [tab.seed, model], outputs, **runs)
    asks = partial(gr.on, [tab.question.submit, tab.asking.click])
    connect(asks, opener.ask_again, [tab.question, model, tab.session], outputs, **runs)
    suggested = checked(SuggestionMessage, notes, opener.suggested)
    connect(tab.chips.pick, suggested, [tab.chips, model, tab.session], outputs, **runs)
    example = checked(ExampleMessage, tab.picture_notes, opener.example)
    connect(tab.thumbs.pick, example, [tab.thumbs], outputs, queue=False)
