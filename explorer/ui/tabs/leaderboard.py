"""What the leaderboard has measured, above the cards of the tab "Methods".

Layout only: figure and table are files that `python -m explorer leaderboard` has written.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pandas as pd
import plotly.io

from explorer.metrics.leaderboard import FOLDER, read_table

TEXT = (
    "Every method answered the same questions about scenes whose answers are known, on pico, the "
    "built-in model; other models may differ. “≈” is no better than random patches, “↓” worse: "
    "McNemar's paired test at 5 %, each by itself, so that a few in a hundred are chance. Run it "
    "again: `python -m explorer leaderboard --scenes 200`."
)


def build(folder: Path = FOLDER) -> None:
    """Lay out the figure, closed until somebody opens it, with its table to take home."""
    table, drawn = folder / "leaderboard.csv", folder / "leaderboard.json"
    if not table.is_file():
        return  # nobody has measured yet
    with gr.Accordion(
        "Does pruning work here? A leaderboard", open=False, elem_id="vt-leaderboard"
    ):
        gr.Markdown(f"{TEXT}\n\n{verdict(read_table(table))}")
        gr.Plot(plotly.io.read_json(drawn), show_label=False, elem_id="vt-leaderboard-plot")
        gr.DownloadButton("Table as CSV", table, size="sm")


def verdict(rows: pd.DataFrame) -> str:
    """Say in a sentence who is no better than random at any budget, and who is worse somewhere."""
    tested = rows[rows["verdict"] != ""]
    budgets = {name: set(said) for name, said in tested.groupby("method", sort=False)["verdict"]}
    never = [name for name, said in budgets.items() if "better than random" not in said]
    worse = [name for name, said in budgets.items() if "worse than random" in said]
    sentences = [
        f"Nowhere better than random here: {', '.join(never)}." if never else "",
        f"Worse than random at some budget: {', '.join(worse)}." if worse else "",
    ]
    return " ".join(filter(None, sentences))
