"""The tab "Explore": a picture, a question, a method, a budget, and the answer that is left.

Layout and wiring only. The stage and the readout are drawn in the browser; the server hands over
one payload per case and then answers single questions of the form (method, budget).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import gradio as gr

from explorer import examples, jobs
from explorer.errors import BadPicture, BadQuestion, VisitorError
from explorer.payload import case_payload
from explorer.pico import questions, scenes
from explorer.picture import open_picture
from explorer.ui import answering, parts
from explorer.ui.desk import Desk, Visit

SEEDS = 1_000_000  # new scenes are numbered below this
PRIVACY = "Pictures are not stored: they are forgotten when you leave or upload another one."


@dataclass(frozen=True)
class Explore:
    """The blocks of the tab that events read or write."""

    visit: gr.State
    picture: gr.Image
    thumbs: gr.HTML
    scene: gr.Button
    seed: gr.Number
    picture_notes: gr.HTML
    question: gr.Textbox
    asking: gr.Button
    chips: gr.HTML
    question_notes: gr.HTML
    stage: gr.HTML
    readout: gr.HTML
    ask: gr.HTML
    fill: gr.HTML


def build(desk: Desk, model: gr.Dropdown, model_notes: gr.HTML, on_model: dict) -> Explore:
    """Lay out the tab and wire it. on_model: keyword arguments of every event that runs a model."""
    first = examples.names()[0]
    shown = examples.load(first)
    with gr.Row(elem_id="vt-explore"):
        with gr.Column(elem_id="vt-left"):
            blocks = _inputs(first, shown)
        with gr.Column(elem_id="vt-middle"):
            stage = parts.stage(shown["case"])
        with gr.Column(elem_id="vt-right"):
            readout = parts.readout()
    tab = Explore(
        visit=gr.State(_example_visit(first, shown)),
        stage=stage,
        readout=readout,
        ask=parts.ask(),
        fill=parts.fill(),
        **blocks,
    )
    _wire_cases(tab, desk, model, model_notes, on_model)
    answering.wire(tab, desk, on_model)
    return tab


def _inputs(first: str, shown: dict) -> dict[str, object]:
    gr.HTML("<h2>Picture</h2>", apply_default_css=False)
    picture = parts.PictureInput(
        sources=["upload", "clipboard", "webcam"],
        type="filepath",
        image_mode=None,
        show_label=False,
        height=96,
        elem_id="vt-picture",
        buttons=[],
    )
    thumbs = parts.thumbs(examples.thumbs(), first)
    with gr.Row(elem_id="vt-scene"):
        scene = gr.Button("New scene", size="sm")
        seed = gr.Number(
            shown["seed"], label="Seed of the scene", precision=0, minimum=0, elem_id="vt-seed"
        )
    picture_notes = parts.notes("vt-picture-notes")
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
    question_notes = parts.notes("vt-question-notes")
    chips = parts.chips(shown["case"]["suggestions"])
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


def _example_visit(name: str, shown: dict) -> Visit:
    scene = scenes.make(shown["seed"])
    return Visit(
        model=shown["case"]["model"],
        picture=open_picture(scene.image),
        question=shown["case"]["question"],
        truths=questions.truths(scene),
        suggestions=tuple(shown["case"]["suggestions"]),
        seed=scene.seed,
    )


def _wire_cases(
    tab: Explore, desk: Desk, model: gr.Dropdown, model_notes: gr.HTML, on_model: dict
) -> None:
    """Everything that opens another case: picture, example, scene, question, model."""
    outputs = [
        tab.visit,
        tab.stage,
        tab.picture,
        tab.thumbs,
        tab.seed,
        tab.chips,
        tab.question,
        tab.picture_notes,
        tab.question_notes,
        model_notes,
    ]

    def opened(visit: Visit, error_place: gr.HTML) -> Iterator[dict]:
        yield {tab.question_notes: parts.lines("busy", "Scoring every patch by every method …")}
        try:
            analysis = jobs.analyse(visit.model, visit.picture, visit.question, desk.memory)
        except VisitorError as error:
            place = {BadPicture: tab.picture_notes, BadQuestion: tab.question_notes}
            yield {
                tab.question_notes: None,
                place.get(type(error), error_place): parts.lines("error", str(error)),
            }
            return
        picture_lines, word_lines = list(visit.picture.notes), list(analysis.notes)
        word_lines = [line for line in word_lines if line not in picture_lines]
        visit = replace(visit, question=analysis.question)
        yield {
            tab.visit: visit,
            tab.stage: case_payload(analysis, visit.truth, list(visit.suggestions)),
            tab.chips: parts.chips_value(list(visit.suggestions)),
            tab.question: visit.question,
            tab.seed: visit.seed,
            tab.picture_notes: parts.lines("note", *picture_lines),
            tab.question_notes: parts.lines("note", *word_lines),
            model_notes: None,
        }

    def upload(path: str | None, question: str, model_key: str, visit: Visit) -> Iterator[dict]:
        if path is None:
            return
        try:
            picture = open_picture(path)
        except BadPicture as error:
            yield {tab.picture: None, tab.picture_notes: parts.lines("error", str(error))}
            return
        yield {tab.picture: None, tab.picture_notes: None, tab.thumbs: _unchosen()}
        general = tuple(questions.GENERAL_QUESTIONS)
        words = question if question.strip() else general[0]
        yield from opened(Visit(model_key, picture, words, None, general), tab.picture_notes)

    def new_scene(seed: int | None, model_key: str) -> Iterator[dict]:
        if not isinstance(seed, int) or seed < 0:
            line = "The seed of a scene is a whole number from 0 on."
            yield {tab.picture_notes: parts.lines("error", line)}
            return
        scene = scenes.make(seed)
        suggested = tuple(questions.suggest(scene))
        yield {tab.seed: seed, tab.thumbs: _unchosen()}
        visit = Visit(
            model_key,
            open_picture(scene.image),
            suggested[0],
            questions.truths(scene),
            suggested,
            seed,
        )
        yield from opened(visit, tab.picture_notes)

    def some_scene(model_key: str) -> Iterator[dict]:
        yield from new_scene(random.randrange(SEEDS), model_key)

    def ask_again(question: str, model_key: str, visit: Visit) -> Iterator[dict]:
        yield from opened(replace(visit, question=question, model=model_key), tab.question_notes)

    def suggested(chips: dict, model_key: str, visit: Visit) -> Iterator[dict]:
        question = chips.get("chosen") if isinstance(chips, dict) else None
        if question in visit.suggestions:
            yield from ask_again(question, model_key, visit)

    def other_model(model_key: str, visit: Visit) -> Iterator[dict]:
        yield {model_notes: parts.lines("busy", "Loading the model …")}
        yield from opened(replace(visit, model=model_key), model_notes)

    def example(thumbs: dict) -> dict:
        name = thumbs.get("chosen") if isinstance(thumbs, dict) else None
        if name not in examples.names():
            return {tab.picture_notes: parts.lines("error", "There is no such example.")}
        shown = examples.load(name)
        visit = _example_visit(name, shown)
        return {
            tab.visit: visit,
            tab.stage: shown["case"],
            tab.chips: parts.chips_value(list(visit.suggestions)),
            tab.question: visit.question,
            tab.seed: visit.seed,
            tab.picture_notes: None,
            tab.question_notes: None,
        }

    quiet = {"outputs": outputs, "show_progress": "hidden", "api_visibility": "private"}
    runs = quiet | on_model | {"trigger_mode": "always_last"}
    tab.picture.input(upload, [tab.picture, tab.question, model, tab.visit], **runs)
    tab.scene.click(some_scene, [model], **runs)
    tab.seed.submit(new_scene, [tab.seed, model], **runs)
    gr.on(
        [tab.question.submit, tab.asking.click],
        ask_again,
        [tab.question, model, tab.visit],
        **runs,
    )
    tab.chips.pick(suggested, [tab.chips, model, tab.visit], **runs)
    model.input(other_model, [model, tab.visit], **runs)
    tab.thumbs.pick(example, [tab.thumbs], queue=False, **quiet)


def _unchosen() -> dict:
    return {"items": examples.thumbs(), "chosen": None, "asked": 0}
