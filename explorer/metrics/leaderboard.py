"""What the leaderboard says: from single answers to a table with intervals, tests and a figure.

Knows trials, which are records of right and wrong answers; runs no model. `leaderboard.py` makes
the trials.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar

import numpy as np

from explorer import ROOT
from explorer.metrics.significance import interval, mcnemar

BUDGETS = (4, 8, 16, 32, 64, 128)
BASELINES = ("random", "uniform")
LEVEL = 0.05  # of the paired tests
Record = TypeVar("Record")


@dataclass(frozen=True)
class EvalRecord:
    """One question, answered by one method at one budget; "full" keeps everything.

    same: equals the full answer. drop: log-probability lost per token of the full answer, nats.
    select, total: seconds; total is NaN where answers were computed side by side.
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


@dataclass(frozen=True)
class LeaderboardRow:
    """What the table says of one method at one budget.

    right with its 95 % interval low..high and same: shares of n questions. drop: mean, nats per
    token. select_ms, total_ms: medians. vs_random, vs_uniform: p-values of McNemar's test. verdict:
    "better than random", "worse than random" or "no better than random". kinds: share of right
    answers per kind of question.
    """

    method: str
    budget: int
    n: int
    right: float
    low: float
    high: float
    same: float
    drop: float
    select_ms: float
    total_ms: float
    vs_random: float
    vs_uniform: float
    verdict: str
    kinds: str


def table(found: Sequence[EvalRecord]) -> list[LeaderboardRow]:
    """Sum up: one row per method and budget, "full" first, in the order in which they came."""
    groups: dict[tuple[str, int], dict[tuple[int, str], EvalRecord]] = {}
    for trial in found:
        groups.setdefault((trial.method, trial.budget), {})[trial.seed, trial.question] = trial
    return [_row(method, budget, groups) for method, budget in groups]


def _row(method: str, budget: int, groups: dict) -> LeaderboardRow:
    group = groups[method, budget]
    all_trials = [group[key] for key in sorted(group)]  # whoever measured them, in one order
    right = _column(all_trials, lambda trial: trial.right)
    low, high = interval(right)

    def against(baseline: str) -> tuple[float, float]:
        """p-value and difference of the shares, on the questions that both answered."""
        other = groups.get((baseline, budget), {})
        both = [key for key in group if key in other]
        if not both or baseline == method:
            return float("nan"), 0.0
        ours = np.array([group[key].right for key in both])
        theirs = np.array([other[key].right for key in both])
        return mcnemar(ours, theirs), float(ours.mean() - theirs.mean())

    (vs_random, gain), (vs_uniform, _) = (against(baseline) for baseline in BASELINES)
    kinds = sorted({trial.kind for trial in all_trials})
    shares = {
        kind: _column([t for t in all_trials if t.kind == kind], lambda trial: trial.right).mean()
        for kind in kinds
    }
    return LeaderboardRow(
        method,
        budget,
        n=len(all_trials),
        right=float(right.mean()),
        low=low,
        high=high,
        same=float(_column(all_trials, lambda trial: trial.same).mean()),
        drop=float(_column(all_trials, lambda trial: trial.drop).mean()),
        select_ms=1e3 * float(np.median(_column(all_trials, lambda trial: trial.select))),
        total_ms=1e3 * _median(_column(all_trials, lambda trial: trial.total)),
        vs_random=vs_random,
        vs_uniform=vs_uniform,
        verdict=_verdict(vs_random, gain),
        kinds=" ".join(f"{kind}={share:.3f}" for kind, share in shares.items()),
    )


def _column(group: Sequence[EvalRecord], value: Callable[[EvalRecord], float]) -> np.ndarray:
    return np.array([value(trial) for trial in group], dtype=np.float64)


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _verdict(p: float, gain: float) -> str:
    if not p < LEVEL:  # NaN too: there is nothing to compare with
        return "no better than random" if p == p else ""
    return "better than random" if gain > 0 else "worse than random"


def write_table(rows: Sequence[LeaderboardRow], file: Path) -> None:
    """Write the table as CSV; numbers with four digits."""
    _write(rows, LeaderboardRow, file, digits=4)


def read_table(file: Path) -> list[LeaderboardRow]:
    """Read a table that `write_table` wrote."""
    return _read(LeaderboardRow, file)


def write_records(found: Sequence[EvalRecord], file: Path) -> None:
    """Write single answers as CSV, for a table of several shares."""
    _write(found, EvalRecord, file, digits=8)


def read_records(file: Path) -> list[EvalRecord]:
    """Read the answers that `write_trials` wrote."""
    return _read(EvalRecord, file)


def _write(
    records: Sequence[LeaderboardRow] | Sequence[EvalRecord], kind: type, file: Path, digits: int
) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        names = [field.name for field in fields(kind)]
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        for record in records:
            values = asdict(record).items()
            writer.writerow(
                {k: f"{v:.{digits}g}" if isinstance(v, float) else v for k, v in values}
            )


def _read(kind: type[Record], file: Path) -> list[Record]:
    readers = {"int": int, "float": float, "str": str, "bool": lambda text: text == "True"}
    readers = {field.name: readers[field.type] for field in fields(kind)}
    with file.open(newline="", encoding="utf-8") as lines:
        return [
            kind(**{name: readers[name](text) for name, text in row.items()})
            for row in csv.DictReader(lines)
        ]


MARKS = {"better than random": "", "no better than random": " ≈", "worse than random": " ↓"}


def figure(rows: Sequence[LeaderboardRow]):
    """Draw the shares of right answers, methods by budgets, best on average first.

    "≈" marks what is no better than random patches, "↓" what is worse; hover tells the rest.
    """
    import plotly.graph_objects as go

    at = {(row.method, row.budget): row for row in rows if row.method != "full"}
    shares = {method: _shares(method, at) for method, _ in at}
    order = sorted(shares, key=lambda method: -float(np.nanmean(shares[method])))
    cells = [[at.get((method, budget)) for budget in BUDGETS] for method in order]
    drawn = go.Figure(
        go.Heatmap(
            z=[shares[method] for method in order],
            x=[str(budget) for budget in BUDGETS],
            y=order,
            text=[[_cell(row) for row in line] for line in cells],
            customdata=[[_hover(row) for row in line] for line in cells],
            texttemplate="%{text}",
            hovertemplate="%{y}, %{x} tokens<br>%{customdata}<extra></extra>",
            colorscale="Cividis",
            colorbar={"tickformat": ".0%", "title": "right"},
            hoverongaps=False,
        )
    )
    full = next(row for row in rows if row.method == "full")
    drawn.update_layout(
        title={"text": f"Right answers of {full.n}; with all tokens {full.right:.0%}", "x": 0},
        xaxis={"type": "category", "title": "visual tokens, mean over layers", "side": "top"},
        yaxis={"autorange": "reversed", "automargin": True},
        height=140 + 24 * len(order),
        margin={"l": 10, "r": 10, "t": 110, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#85858f"},
    )
    return drawn


def _shares(method: str, at: dict[tuple[str, int], LeaderboardRow]) -> list[float]:
    """Shares at every budget; NaN where a method can't go so low."""
    rows = [at.get((method, budget)) for budget in BUDGETS]
    return [float("nan") if row is None else row.right for row in rows]


def _cell(row: LeaderboardRow | None) -> str:
    return "" if row is None else f"{row.right:.0%}{MARKS.get(row.verdict, '')}"


def _hover(row: LeaderboardRow | None) -> str:
    if row is None:
        return ""
    return (
        f"right {row.right:.1%} (95 %: {row.low:.1%} to {row.high:.1%})<br>"
        f"same as the full answer {row.same:.1%}<br>"
        f"full answer loses {row.drop:.2f} nats per token<br>"
        f"selection {row.select_ms:.1f} ms<br>{row.verdict}"
    )


FOLDER = ROOT / "assets" / "leaderboard"
