"""What the leaderboard says: from single answers to a table with intervals, tests and a figure.

Knows records of right and wrong answers; runs no model. `tools/leaderboard.py` makes the records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from explorer import ROOT
from explorer.metrics.significance import interval, mcnemar

FOLDER = ROOT / "assets" / "leaderboard"
BUDGETS = (4, 8, 16, 32, 64, 128)
LEVEL = 0.05  # of the paired tests
MARKS = {"better than random": "", "no better than random": " ≈", "worse than random": " ↓"}
QUESTION = ["seed", "question"]  # the columns that name one
NAN = float("nan")


@dataclass(frozen=True)
class EvalRecord:
    """One question, answered by one method at one budget; "full" keeps everything.

    same: equals the full answer. drop: log-probability lost per token of the full answer, nats.
    select, total: seconds; total is NaN where answers were computed side by side. random: the
    method by which this one is measured against chance; empty for none.
    """

    seed: int
    question: str
    kind: str
    method: str
    budget: int
    right: bool
    same: bool
    drop: float
    select: float
    total: float
    random: str = "random"


def to_frame(records: Iterable[EvalRecord]) -> pd.DataFrame:
    """Give the records as rows; the columns are the fields of `EvalRecord`."""
    return pd.DataFrame(list(records), columns=[field.name for field in fields(EvalRecord)])


def table(records: pd.DataFrame) -> pd.DataFrame:
    """Sum up: one row per method and budget, in the order in which they came.

    right with its 95 % interval low..high and same: shares of n questions. drop: mean, nats per
    token. select_ms, total_ms: medians. random: what the method is measured by, a draw per scene.
    vs_random, vs_uniform: p-values of McNemar's test. verdict: "better than random", "worse than
    random" or "no better than random". kinds: share of right answers per kind of question.
    """
    groups = {
        key: group.drop_duplicates(QUESTION, keep="last").set_index(QUESTION).sort_index()
        for key, group in records.groupby(["method", "budget"], sort=False)
    }
    return pd.DataFrame([_row(method, budget, groups) for method, budget in groups])


def _row(method: str, budget: int, groups: dict[tuple[str, int], pd.DataFrame]) -> dict:
    group = groups[method, budget]
    low, high = interval(group["right"].to_numpy())
    random = group["random"].iloc[0]
    (vs_random, gain), (vs_uniform, _) = (
        _against(group, groups.get((baseline, budget)) if baseline != method else None)
        for baseline in (random, "uniform")
    )
    kinds = group.groupby("kind")["right"].mean()
    return {
        "method": method,
        "budget": budget,
        "n": len(group),
        "right": group["right"].mean(),
        "low": low,
        "high": high,
        "same": group["same"].mean(),
        "drop": group["drop"].mean(),
        "select_ms": 1e3 * group["select"].median(),
        "total_ms": 1e3 * group["total"].median(),
        "random": random,
        "vs_random": vs_random,
        "vs_uniform": vs_uniform,
        "verdict": _verdict(vs_random, gain),
        "kinds": " ".join(f"{kind}={share:.3f}" for kind, share in kinds.items()),
    }


def _against(group: pd.DataFrame, other: pd.DataFrame | None) -> tuple[float, float]:
    """p-value and difference of the shares, on the questions that both answered."""
    if other is None:
        return NAN, 0.0
    ours, theirs = group["right"].align(other["right"], join="inner")
    if ours.empty:
        return NAN, 0.0
    return mcnemar(ours, theirs), ours.mean() - theirs.mean()


def _verdict(p: float, gain: float) -> str:
    if not p < LEVEL:  # NaN too: there is nothing to compare with
        return "no better than random" if p == p else ""
    return "better than random" if gain > 0 else "worse than random"


def write_table(rows: pd.DataFrame, file: Path) -> None:
    """Write the table as CSV; numbers with four digits."""
    _write(rows, file, "%.4g")


def read_table(file: Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote."""
    return _read(file)


def write_records(records: Iterable[EvalRecord], file: Path) -> None:
    """Write single answers as CSV, for a table of several shares."""
    _write(to_frame(records), file, "%.8g")


def read_records(file: Path) -> pd.DataFrame:
    """Read the answers that `write_records` wrote."""
    return _read(file)


def _write(rows: pd.DataFrame, file: Path, float_format: str) -> None:
    rows.to_csv(file, index=False, float_format=float_format, na_rep="nan", lineterminator="\n")


def _read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, keep_default_na=False, na_values="nan")


def figure(rows: pd.DataFrame):
    """Draw the shares of right answers, methods by budgets, best on average first.

    "≈" marks what is no better than random patches, "↓" what is worse; hover tells the rest.
    """
    import plotly.graph_objects as go

    full = rows[rows["method"] == "full"].iloc[0]
    pruned = rows[rows["method"] != "full"]
    pruned = pruned.assign(text=pruned.apply(_cell, axis=1), says=pruned.apply(_hover, axis=1))
    grids = pruned.pivot(index="method", columns="budget").reindex(pruned["method"].unique())

    def grid(column: str) -> pd.DataFrame:
        """Give one column of the table as methods x budgets; NaN where a method can't go so low."""
        return grids[column].reindex(columns=BUDGETS)

    best = grid("right").mean(axis=1).sort_values(ascending=False, kind="stable").index
    drawn = go.Figure(
        go.Heatmap(
            z=grid("right").loc[best].to_numpy(float).tolist(),
            x=[str(budget) for budget in BUDGETS],
            y=list(best),
            text=grid("text").loc[best].astype(object).fillna("").to_numpy().tolist(),
            customdata=grid("says").loc[best].astype(object).fillna("").to_numpy().tolist(),
            texttemplate="%{text}",
            hovertemplate="%{y}, %{x} tokens<br>%{customdata}<extra></extra>",
            colorscale="Cividis",
            colorbar={"tickformat": ".0%", "title": "right"},
            hoverongaps=False,
        )
    )
    drawn.update_layout(
        title={
            "text": f"Right answers of {full['n']}; with all tokens {full['right']:.0%}",
            "x": 0,
        },
        xaxis={"type": "category", "title": "visual tokens, mean over layers", "side": "top"},
        yaxis={"autorange": "reversed", "automargin": True},
        height=140 + 24 * len(best),
        margin={"l": 10, "r": 10, "t": 110, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#85858f"},
    )
    return drawn


def _cell(row: pd.Series) -> str:
    return f"{row['right']:.0%}{MARKS.get(row['verdict'], '')}"


def _hover(row: pd.Series) -> str:
    return (
        f"right {row['right']:.1%} (95 %: {row['low']:.1%} to {row['high']:.1%})<br>"
        f"same as the full answer {row['same']:.1%}<br>"
        f"full answer loses {row['drop']:.2f} nats per token<br>"
        f"selection {row['select_ms']:.1f} ms<br>{row['verdict']}"
    )
