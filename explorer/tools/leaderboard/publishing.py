"""Write a leaderboard's table and its figure, and print what they say.

Knows records of answers; not where they come from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from explorer.cases.generation import FULL
from explorer.methods import catalog
from explorer.metrics.leaderboard.figure import figure
from explorer.metrics.leaderboard.table import EvalRecord, table, to_frame, write_table
from explorer.tools.leaderboard.rows import title


def publish(records: Iterable[EvalRecord], folder: Path, more: pd.DataFrame | None = None) -> None:
    """Write the table and its figure, and print what they say.

    more: further columns, by method and budget.
    """
    rows = described(table(to_frame(records)))
    if more is not None and len(more):
        rows = rows.merge(more, on=["method", "budget"], how="left")
    write_table(rows, folder / "leaderboard.csv")
    (folder / "leaderboard.json").write_text(figure(rows).to_json(), encoding="utf-8")
    for row in rows.itertuples():
        print(_line(row))


def _line(row: tuple) -> str:
    line = (
        f"{row.title:40} {row.budget:4} right {row.right:.3f} [{row.low:.3f}, {row.high:.3f}] "
        f"agrees {row.agrees:.3f}  FLOPs {row.flops:.2f}"
    )
    if row.verdict:
        line += (
            f"  {row.gain:+.3f} [{row.gain_low:+.3f}, {row.gain_high:+.3f}] "
            f"p {row.p_holm:.2g} {row.verdict}"
        )
    if not math.isnan(getattr(row, "f1", math.nan)):
        line += f"  F1 {row.f1:.3f}, yes {row.yes:.2f}"
    return line


def described(rows: pd.DataFrame) -> pd.DataFrame:
    """Add what readers call a method, what becomes of positions, and what it is measured by."""
    full, methods = rows["method"] == FULL, rows["method"]
    told = rows.copy()
    told.insert(1, "title", [title(each) for each in methods])
    positions = ["" if each == FULL else catalog.resolve(each).positions for each in methods]
    told.insert(3, "positions", positions)
    titles = [title(each) if each else "" for each in rows["random"].where(~full, "")]
    told.insert(told.columns.get_loc("random") + 1, "random_title", titles)
    return told
