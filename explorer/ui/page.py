"""The whole page: header, tabs, public endpoints, and how it is launched."""

from __future__ import annotations

import gradio as gr

from explorer.ui import endpoints, scripts
from explorer.ui.endpoints import case_endpoints
from explorer.ui.explore import layout, model_picker
from explorer.ui.session import AppState
from explorer.ui.tabs import compare, debug, failures, leaderboard, methods, region, sweep, video
from explorer.vlm.catalog import DEFAULT
from explorer.vlm.loader import default_loader

TITLE = "Visual token explorer"
QUEUE = 32  # events that may wait; more get a sentence instead of a place
SESSIONS = 200  # visits whose pictures are held; the oldest is forgotten beyond


def build(desk: AppState | None = None, at_once: int = 1, model: str = DEFAULT) -> gr.Blocks:
    """Build the page.

    at_once: how many events may run a model at the same time. model: the one to begin with.
    """
    desk = desk or AppState()
    on_model = {"concurrency_id": "model", "concurrency_limit": at_once}
    with gr.Blocks(title=TITLE, delete_cache=(3600, 3600), analytics_enabled=False) as page:
        with gr.Row(elem_id="vt-header"):
            gr.HTML(f"<b>{TITLE}</b>", apply_default_css=False)
            models = gr.Dropdown(
                [(entry.title, key) for key, entry in default_loader().catalog.entries().items()],
                value=model,
                label="Model",
                show_label=False,
                container=False,
                elem_id="vt-model",
            )
        model_notes = model_picker.build()
        with gr.Tab("Explore", elem_id="vt-tab-explore"):
            opening = layout.build(desk, models, model_notes, on_model, page)
            tab = opening.tab
            methods.wire(desk, tab.visit, on_model)
        with gr.Tab("Compare", elem_id="vt-tab-compare"):
            compare.build(desk, tab.visit, on_model)
        with gr.Tab("Sweep", elem_id="vt-tab-sweep"):
            sweep.build(desk, tab.visit, on_model)
        with gr.Tab("Debug", elem_id="vt-tab-debug"):
            debug.build(desk, tab.visit, on_model)
            region.build(desk, tab.visit, on_model)
        with gr.Tab("Failures", elem_id="vt-tab-failures"):
            failures.build(desk, tab.visit, opening, on_model)
        with gr.Tab("Video", elem_id="vt-tab-video") as video_tab:
            video.build(desk, video_tab, models, on_model)
        with gr.Tab("Methods", elem_id="vt-tab-methods"):
            leaderboard.build()
            methods.build()
        case_endpoints(desk, on_model)
        endpoints.compare_endpoint(desk, on_model)
        endpoints.sweep_endpoint(desk, on_model)
        endpoints.oracle_endpoint(desk, on_model)

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
        "css": scripts.styles(),
        "head": scripts.head(),
        "app_kwargs": scripts.served(),
        "max_file_size": "100mb",  # of a video; a picture of more than 10 MB gets a sentence
        "run_history": False,
        "footer_links": ["api"],
        "show_error": True,
        "state_session_capacity": SESSIONS,
    }
