"""What the leaderboard says: from single answers to a table with intervals, tests and a figure.

Knows trials, which are records of right and wrong answers; runs no model. `leaderboard.py` makes
the trials.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from explorer.significance import interval, mcnemar

BUDGETS = (4, 8, 16, 32, 64, 128)
BASELINES = ("random", "uniform")
LEVEL = 0.05  # of the paired tests


@dataclass(frozen=True)
class Trial:
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
class Row:
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


def table(found: Sequence[Trial]) -> list[Row]:
    """Sum up: one row per method and budget, "full" first, in the order in which they came."""
    groups: dict[tuple[str, int], dict[tuple[int, str], Trial]] = {}
    for trial in found:
        groups.setdefault((trial.method, trial.budget), {})[trial.seed, trial.question] = trial
    return [_row(method, budget, groups) for method, budget in groups]


def _row(method: str, budget: int, groups: dict) -> Row:
    group = groups[method, budget]
    all_trials = list(group.values())
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
    return Row(
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


def _column(group: Sequence[Trial], value: Callable[[Trial], float]) -> np.ndarray:
    return np.array([value(trial) for trial in group], dtype=np.float64)


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _verdict(p: float, gain: float) -> str:
    if not p < LEVEL:  # NaN too: there is nothing to compare with
        return "no better than random" if p == p else ""
    return "better than random" if gain > 0 else "worse than random"


def write_csv(rows: Sequence[Row], file: Path) -> None:
    """Write the table; numbers with four digits."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            values = asdict(row)
            writer.writerow(
                {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in values.items()}
            )


def read_csv(file: Path) -> list[Row]:
    """Read a table that `write_csv` wrote."""
    kinds = {"method": str, "verdict": str, "kinds": str, "budget": int, "n": int}
    with file.open(newline="", encoding="utf-8") as lines:
        return [
            Row(**{name: kinds.get(name, float)(text) for name, text in row.items()})
            for row in csv.DictReader(lines)
        ]


def figure(rows: Sequence[Row]):
    """Draw accuracy against budget, one line per method; the full model and random stand out."""
    import plotly.graph_objects as go

    drawn = go.Figure()
    full = next(row for row in rows if row.method == "full")
    drawn.add_hline(y=full.right, line_dash="dot", annotation_text="all tokens")
    for method in dict.fromkeys(row.method for row in rows if row.method != "full"):
        own = [row for row in rows if row.method == method]
        baseline = method in BASELINES or method == "pool"
        drawn.add_scatter(
            x=[row.budget for row in own],
            y=[row.right for row in own],
            name=method,
            mode="lines+markers",
            line={"dash": "dash" if baseline else "solid", "width": 3 if baseline else 1.5},
            error_y={
                "array": [row.high - row.right for row in own],
                "arrayminus": [row.right - row.low for row in own],
                "visible": method == "random",
            },
            hovertemplate="%{fullData.name}, %{x} tokens: %{y:.1%} right<extra></extra>",
        )
    drawn.update_layout(
        xaxis={"type": "log", "title": "visual tokens, mean over layers", "tickvals": BUDGETS},
        yaxis={"title": "right answers", "tickformat": ".0%"},
        margin={"l": 50, "r": 10, "t": 20, "b": 45},
        legend={"font": {"size": 11}},
    )
    return drawn
