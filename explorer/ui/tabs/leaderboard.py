"""What the leaderboard has measured, above the cards of the tab "Methods", and how far to trust it.

Layout only: figure and tables are files that `python -m explorer leaderboard` and
`evaluate --phenomena` have written.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import plotly.io

from explorer.metrics import phenomena
from explorer.metrics.leaderboard.table import FOLDER, read_table
from explorer.metrics.leaderboard.text import findings

TEXT = (
    "Every method answered the same questions about scenes whose answers are known, on pico, the "
    "built-in model; other models may differ. Each is measured by its own random, which counts "
    "positions as it does and drops at the same layers: “↑” is better, “≈” no better, “↓” worse "
    "(McNemar's paired test at 5 %, corrected after Holm for all comparisons). What it costs tells "
    "the cell under the pointer. Run it again: `python -m explorer leaderboard --scenes {scenes}`."
)


def build(folder: Path = FOLDER) -> None:
    """Lay out the figure, closed until somebody opens it, with its table to take home."""
    table, drawn = folder / "leaderboard.csv", folder / "leaderboard.json"
    if not table.is_file():
        return  # nobody has measured yet
    with gr.Accordion(
        "Does pruning work here? A leaderboard", open=False, elem_id="vt-leaderboard"
    ):
        rows = read_table(table)
        text = TEXT.format(scenes=rows["n"].max())  # one question to a scene
        gr.Markdown("\n- ".join([f"{text}\n", *findings(rows)]))
        gr.Plot(plotly.io.read_json(drawn), show_label=False, elem_id="vt-leaderboard-plot")
        gr.DownloadButton("Table as CSV", table, size="sm")
    with gr.Accordion("What pico shows of large models, and what it doesn't", open=False):
        gr.Markdown(phenomena.markdown(*phenomena.read()), elem_id="vt-phenomena")
