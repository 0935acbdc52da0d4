"""MDI and AEI of the full and the pruned run as a large interactive plot, drawn when asked for.

The small curves beside the picture follow the slider; this one is made once, to be zoomed and read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer import jobs
from explorer.errors import VisitorError
from explorer.results import Answer
from explorer.ui import parts
from explorer.ui.desk import Desk, Visit

if TYPE_CHECKING:
    from explorer.ui.explore import Explore

COLOURS = {"full": "#71717a", "kept": "#4f46e5"}  # both are told apart on white and on black
HEIGHT = 420


def build() -> tuple[gr.Accordion, gr.Plot]:
    """Lay out the place of the plot, closed and hidden until it is asked for."""
    with gr.Accordion("MDI and AEI, larger", visible=False, elem_id="vt-larger") as box:
        plot = gr.Plot(show_label=False, label="MDI and AEI over the layers", elem_id="vt-plot")
    return box, plot


def wire(tab: Explore, box: gr.Accordion, plot: gr.Plot, desk: Desk, on_model: dict) -> None:
    """Draw the plot for the method and budget that the visitor looks at."""

    def enlarge(asked: dict, visit: Visit) -> dict:
        if not isinstance(asked, dict) or asked.get("case") != visit.id:
            return {}
        case = (visit.model, visit.picture, visit.question)
        try:
            full = jobs.answer(*case, jobs.FULL, 1, desk.memory)
            method, budget = str(asked.get("method")), asked.get("budget")
            kept = jobs.answer(*case, method, budget, desk.memory)
        except VisitorError as error:
            return {tab.question_notes: parts.lines("error", str(error))}
        drawn = figure(full, kept)
        return {box: gr.Accordion(visible=True, open=True), plot: drawn}

    tab.enlarge.enlarge(
        enlarge,
        [tab.enlarge, tab.visit],
        [box, plot, tab.question_notes],
        show_progress="hidden",
        api_visibility="private",
        trigger_mode="always_last",
        **on_model,
    )


def figure(full: Answer, kept: Answer) -> go.Figure:
    """Draw MDI and AEI over the decoder layers on logarithmic axes, with the line at 1."""
    drawn = make_subplots(
        cols=2, subplot_titles=("MDI: text over picture, per token", "AEI of the text")
    )
    for run, answer in (("full", full), ("kept", kept)):
        found = answer.dominance
        name = "all tokens" if run == "full" else f"{kept.method}, {kept.budget} tokens"
        for column, values in ((1, found.mdi), (2, found.aei)):
            drawn.add_scatter(
                x=list(range(len(values))),
                # an axis of logarithms has no place for what is infinite or not defined
                y=[float(v) if 0 < v < float("inf") else None for v in values],
                name=name,
                legendgroup=run,
                showlegend=column == 1,
                mode="lines+markers",
                line={"color": COLOURS[run], "dash": "dot" if run == "full" else "solid"},
                hovertemplate="layer %{x}: %{y:.3g}<extra>" + name + "</extra>",
                row=1,
                col=column,
            )
    for column in (1, 2):
        drawn.add_hline(y=1, line_width=1, line_color="#a1a1aa", row=1, col=column)
    drawn.update_xaxes(title="decoder layer", gridcolor="rgba(128,128,128,.2)")
    drawn.update_yaxes(type="log", gridcolor="rgba(128,128,128,.2)")
    drawn.update_layout(
        height=HEIGHT,
        margin={"l": 45, "r": 10, "t": 45, "b": 40},
        legend={"orientation": "h", "y": -0.18},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#71717a"},
    )
    return drawn
