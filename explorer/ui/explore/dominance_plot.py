"""MDI and AEI of the full and the pruned run as a large interactive plot, drawn when asked for.

The small curves beside the picture follow the slider; this one is made once, to be zoomed and read.
"""

from __future__ import annotations

import gradio as gr
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.analyses import api
from explorer.cases import answers
from explorer.cases.records import Answer
from explorer.errors import VisitorError
from explorer.methods.catalog import title
from explorer.ui import components
from explorer.ui.explore.blocks import Explore
from explorer.ui.session import AppState, Session

COLOURS = {"full": "#8a8a93", "kept": "#6366f1"}  # both stand out on white and on black
HEIGHT = 420  # pixels of a row of plots
TITLES = ("MDI: text over picture, per token", "AEI of the text")


def build() -> tuple[gr.Accordion, gr.Plot]:
    """Lay out the place of the plot, closed and hidden until it is asked for."""
    with gr.Accordion("MDI and AEI, larger", visible=False, elem_id="vt-larger") as box:
        plot = gr.Plot(show_label=False, label="MDI and AEI over the layers", elem_id="vt-plot")
    return box, plot


def wire(tab: Explore, plot: gr.Plot, desk: AppState, on_model: dict) -> None:
    """Draw the plot for the method and budget that the visitor looks at."""

    def enlarge(asked: dict, visit: Session) -> dict:
        if not isinstance(asked, dict) or asked.get("case") != visit.id:
            return {}
        case = (visit.model, visit.picture, visit.question)
        try:
            full = api.answer(*case, answers.FULL, 1, desk.memory)
            method, budget = str(asked.get("method")), asked.get("budget")
            kept = api.answer(*case, method, budget, desk.memory)
        except VisitorError as error:
            return {tab.question_notes: components.lines("error", str(error))}
        drawn = figure(full, kept, narrow=asked.get("narrow") is True)
        return {tab.larger: gr.Accordion(visible=True, open=True), plot: drawn}

    drawn = tab.enlarge.enlarge(
        enlarge,
        [tab.enlarge, tab.visit],
        [tab.larger, plot, tab.question_notes],
        show_progress="hidden",
        api_visibility="private",
        trigger_mode="always_last",
        **on_model,
    )
    drawn.success(None, js="() => explorer.showLarger()", api_visibility="private")


def figure(full: Answer, kept: Answer, narrow: bool = False) -> go.Figure:
    """Draw MDI and AEI over the decoder layers on logarithmic axes, with the line at 1.

    narrow: one below the other, for a phone.
    """
    places = ((1, 1), (2, 1)) if narrow else ((1, 1), (1, 2))
    rows, columns = places[-1]
    drawn = make_subplots(rows, columns, subplot_titles=TITLES, vertical_spacing=0.18)
    names = {"full": "all tokens", "kept": f"{title(kept.method)}, {kept.budget} tokens"}
    for run, answer in (("full", full), ("kept", kept)):
        found, name = answer.dominance, names[run]
        for (row, column), values in zip(places, (found.mdi, found.aei), strict=True):
            drawn.add_scatter(
                x=list(range(1, len(values) + 1)),
                # an axis of logarithms has no place for what is infinite or not defined
                y=[float(v) if 0 < v < float("inf") else None for v in values],
                name=name,
                legendgroup=run,
                showlegend=values is found.mdi,
                mode="lines+markers",
                line={"color": COLOURS[run], "dash": "dot" if run == "full" else "solid"},
                hovertemplate="layer %{x}: %{y:.3g}<extra>" + name + "</extra>",
                row=row,
                col=column,
            )
    drawn.add_hline(y=1, line_width=1, line_color="#a1a1aa", row="all", col="all")
    drawn.update_xaxes(title="decoder layer", gridcolor="rgba(128,128,128,.2)")
    drawn.update_yaxes(type="log", gridcolor="rgba(128,128,128,.2)")
    drawn.update_layout(
        height=rows * HEIGHT,
        margin={"l": 45, "r": 10, "t": 45, "b": 40},
        legend={"orientation": "h", "y": -0.18 / rows},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#85858f"},
    )
    return drawn
