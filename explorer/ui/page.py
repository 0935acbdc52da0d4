"""The whole page: header, tabs, public endpoints, and how it is launched."""

from __future__ import annotations

import gradio as gr

from explorer import jobs, zoo
from explorer.errors import VisitorError
from explorer.payload import answer_payload, case_payload, stages_payload
from explorer.ui import (
    cards,
    compare,
    debug,
    explaining,
    explore,
    finding,
    loading,
    parts,
    region,
    standings,
    sweep,
    video,
)
from explorer.ui.desk import Desk

TITLE = "Visual token explorer"
QUEUE = 32  # events that may wait; more get a sentence instead of a place
SESSIONS = 200  # visits whose pictures are held; the oldest is forgotten beyond


def build(desk: Desk | None = None, at_once: int = 1, model: str = zoo.DEFAULT) -> gr.Blocks:
    """Build the page.

    at_once: how many events may run a model at the same time. model: the one to begin with.
    """
    desk = desk or Desk()
    on_model = {"concurrency_id": "model", "concurrency_limit": at_once}
    with gr.Blocks(title=TITLE, delete_cache=(3600, 3600), analytics_enabled=False) as page:
        with gr.Row(elem_id="vt-header"):
            gr.HTML(f"<b>{TITLE}</b>", apply_default_css=False)
            models = gr.Dropdown(
                [(entry.title, key) for key, entry in zoo.entries().items()],
                value=model,
                label="Model",
                show_label=False,
                container=False,
                elem_id="vt-model",
            )
        model_notes = loading.build()
        with gr.Tab("Explore", elem_id="vt-tab-explore"):
            opening = explore.build(desk, models, model_notes, on_model, page)
            tab = opening.tab
            cards.wire(desk, tab.visit, on_model)
        with gr.Tab("Compare", elem_id="vt-tab-compare"):
            compare.build(desk, tab.visit, on_model)
        with gr.Tab("Sweep", elem_id="vt-tab-sweep"):
            sweep.build(desk, tab.visit, on_model)
        with gr.Tab("Debug", elem_id="vt-tab-debug"):
            debug.build(desk, tab.visit, on_model)
            region.build(desk, tab.visit, on_model)
        with gr.Tab("Failures", elem_id="vt-tab-failures"):
            finding.build(desk, tab.visit, opening, on_model)
        with gr.Tab("Video", elem_id="vt-tab-video") as video_tab:
            video.build(desk, video_tab, models, on_model)
        with gr.Tab("Methods", elem_id="vt-tab-methods"):
            standings.build()
            cards.build()
        _endpoints(desk, on_model)
        compare.endpoint(desk, on_model)
        sweep.endpoint(desk, on_model)
        explaining.endpoint(desk, on_model)

        def leave(request: gr.Request) -> None:
            desk.tickets.forget(request.session_hash)
            desk.comparing.forget(request.session_hash)
            desk.sweeping.forget(request.session_hash)
            desk.picks.forget(request.session_hash)
            debug.leave(desk, request.session_hash)
            desk.filming.forget(request.session_hash)

        page.unload(leave)
    page.queue(max_size=QUEUE, default_concurrency_limit=at_once)
    return page


def _endpoints(desk: Desk, on_model: dict) -> None:
    """Offer the use cases to scripts: /analyse and /answer (others come from their own tabs)."""

    def analyse(image: str, question: str, model: str = zoo.DEFAULT) -> dict:
        """Score every patch of a picture by every pruning method, and answer a question about it.

        Args:
            image: the picture
            question: the question, at most 500 characters
            model: key of the model, such as "pico"

        Returns:
            grid, scores and kept sets of every method (arrays as base64), and the full answer
        """
        try:
            return case_payload(jobs.analyse(model, image, question, desk.memory))
        except VisitorError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def answer(
        image: str, question: str, method: str, budget: int, model: str = zoo.DEFAULT
    ) -> dict:
        """Answer a question about a picture from the visual tokens that a pruning method keeps.

        Args:
            image: the picture
            question: the question, at most 500 characters
            method: key of the method, such as "visionzip", or "full" for all tokens
            budget: visual tokens kept, averaged over the layers of the language model
            model: key of the model, such as "pico"

        Returns:
            the answer with probabilities, tokens per layer, seconds, FLOPs, fidelity, MDI and AEI
        """
        try:
            found = jobs.answer(model, image, question, method, budget, desk.memory)
        except VisitorError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return answer_payload(found) | {"stages": stages_payload(found)}

    with gr.Row(visible=False):
        image = parts.PictureInput(type="filepath", label="image")
        question, method = gr.Textbox(label="question"), gr.Textbox("clsattn", label="method")
        budget = gr.Number(64, label="budget", precision=0)
        model = gr.Textbox(zoo.DEFAULT, label="model")
        out, run = gr.JSON(label="result"), gr.Button()
    run.click(analyse, [image, question, model], out, api_name="analyse", **on_model)
    run.click(answer, [image, question, method, budget, model], out, api_name="answer", **on_model)


def launch_settings() -> dict:
    """Give what `launch` needs to know about the look and the limits of the page."""
    return {
        "theme": gr.themes.Default(
            primary_hue="indigo",
            neutral_hue="zinc",
            radius_size="md",
            spacing_size="sm",
            # Gradio ships two weights of it; asking for others would fall back to another font.
            font=[gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "sans-serif"],
        ),
        "css": parts.styles(),
        "head": parts.head(),
        "max_file_size": "100mb",  # of a video; a picture of more than 10 MB gets a sentence
        "run_history": False,
        "footer_links": ["api"],
        "show_error": True,
        "state_session_capacity": SESSIONS,
    }
