"""The tab "Explore": a picture, a question, a method, a budget, and the answer that is left.

Layout and wiring only. The stage and the readout are drawn in the browser; the server hands over
one payload per case and then answers single questions of the form (method, budget).
"""

from __future__ import annotations

import gradio as gr

from explorer.ui import components, examples
from explorer.ui.explore import answers, model_picker, share
from explorer.ui.explore.blocks import Explore
from explorer.ui.explore.open_case import CaseOpener, example_session
from explorer.ui.session import AppState

PRIVACY = "Pictures are not stored: they are forgotten when you leave or upload another one."


def build(
    desk: AppState, model: gr.Dropdown, model_notes: gr.HTML, on_model: dict, page: gr.Blocks
) -> CaseOpener:
    """Lay out the tab and wire it; gives the ways in which other tabs can open a case in it.

    on_model: keyword arguments of every event that runs a model. page: what the tab is part of.
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
            travel = share.build()
    components.html_block(
        '<div class="vt-enlarged" hidden></div>', "mountDominancePlot", elem_id="vt-larger"
    )
    tab = Explore(
        visit=gr.State(example_session(shown)),
        stage=stage,
        readout=readout,
        ask=components.ask(),
        fill=components.fill(),
        travel=travel,
        **blocks,
    )
    opening = CaseOpener(tab, desk, model, model_notes)
    _wire(tab, opening, model, on_model)
    model_picker.wire(opening, desk, on_model, page)
    share.wire(tab, opening, desk, on_model)
    answers.wire(tab, desk, on_model)
    return opening


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
    question_notes = components.notes("vt-question-notes")
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


def _wire(tab: Explore, opening: CaseOpener, model: gr.Dropdown, on_model: dict) -> None:
    """Connect everything that opens another case: picture, example, scene, question, model."""
    quiet = {
        "outputs": opening.outputs(),
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    runs = quiet | on_model | {"trigger_mode": "always_last"}
    tab.picture.input(opening.upload, [tab.picture, tab.question, model, tab.visit], **runs)
    tab.scene.click(opening.some_scene, [model], **runs)
    tab.seed.submit(opening.new_scene, [tab.seed, model], **runs)
    gr.on(
        [tab.question.submit, tab.asking.click],
        opening.ask_again,
        [tab.question, model, tab.visit],
        **runs,
    )
    tab.chips.pick(opening.suggested, [tab.chips, model, tab.visit], **runs)
    tab.thumbs.pick(opening.example, [tab.thumbs], queue=False, **quiet)
