"""What the leaderboard says: from single answers to a table with intervals and tests.

Knows records of right and wrong answers; runs no model, and doesn't know what methods are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from explorer import ROOT
from explorer.metrics.significance import holm, interval, paired

FOLDER = ROOT / "assets" / "leaderboard"
BUDGETS = (16, 32, 64, 128)
LEVEL = 0.05  # of all tests together
BETTER, EQUAL, WORSE = "better than random", "no better than random", "worse than random"
MARKS = {BETTER: " ↑", EQUAL: " ≈", WORSE: " ↓"}
QUESTION = ["seed", "question"]  # the columns that name one
KIND = "right_"  # begins the columns of single kinds of question
NAN = float("nan")


@dataclass(frozen=True)
class EvalRecord:
    """One question, answered by one method at one budget; "full" keeps everything.

    right: 0 to 1, between them where a rule of scoring grades. agrees: with the full answer.
    log_prob_loss: per token of the full answer, nats. flops, kv: of the prefill, and of keys and
    values, as shares of the full run's. random: the method by which this one is measured against
    chance; empty for none.
    """

    seed: int
    question: str
    kind: str
    method: str
    budget: int
    right: float
    agrees: bool
    log_prob_loss: float
    flops: float
    kv: float
    random: str = "random"


def to_frame(records: Iterable[EvalRecord]) -> pd.DataFrame:
    """Give the records as rows; the columns are the fields of `EvalRecord`."""
    return pd.DataFrame(list(records), columns=[field.name for field in fields(EvalRecord)])


def table(records: pd.DataFrame) -> pd.DataFrame:
    """Sum up: one row per method and budget, in the order in which they came.

    right with its 95 % bootstrap interval low..high and agrees: mean shares of n questions.
    log_prob_loss: mean, nats per token. flops, kv: mean shares of the full run's. random: what the
    method is measured by, a draw per scene; gain: right answers more than that one has, on the
    questions that both answered, with gain_low..gain_high from bootstrapped pairs. p: McNemar's
    exact test, or by sign flips where answers are graded; p_holm: the same after Holm's correction
    over all rows; verdict: by p_holm, else empty. right_KIND: share of right answers to one kind of
    question.
    """
    groups = {
        key: group.drop_duplicates(QUESTION, keep="last").set_index(QUESTION).sort_index()
        for key, group in records.groupby(["method", "budget"], sort=False)
    }
    rows = pd.DataFrame([_row(method, budget, groups) for method, budget in groups])
    rows.insert(rows.columns.get_loc("p") + 1, "p_holm", holm(rows["p"]))
    verdicts = [_verdict(p, gain) for p, gain in zip(rows["p_holm"], rows["gain"], strict=True)]
    rows.insert(rows.columns.get_loc("p_holm") + 1, "verdict", verdicts)
    kinds = sorted(column for column in rows if column.startswith(KIND))
    return rows[[column for column in rows if not column.startswith(KIND)] + kinds]


def _row(method: str, budget: int, groups: dict[tuple[str, int], pd.DataFrame]) -> dict:
    group = groups[method, budget]
    low, high = interval(group["right"].to_numpy())
    random = group["random"].iloc[0]
    kinds = group.groupby("kind")["right"].mean()
    return {
        "method": method,
        "budget": budget,
        "n": len(group),
        "right": group["right"].mean(),
        "low": low,
        "high": high,
        "agrees": group["agrees"].mean(),
        "log_prob_loss": group["log_prob_loss"].mean(),
        "flops": group["flops"].mean(),
        "kv": group["kv"].mean(),
        "random": random,
        **_against(group, groups.get((random, budget)) if random != method else None),
        **{f"{KIND}{kind}": share for kind, share in kinds.items()},
    }


def _against(group: pd.DataFrame, other: pd.DataFrame | None) -> dict[str, float]:
    """Compare on the questions that both answered; NaN where there is nothing to compare with."""
    ours, theirs = group["right"], (group if other is None else other)["right"]
    ours, theirs = (each.to_numpy(float) for each in ours.align(theirs, join="inner"))
    if other is None or not len(ours):
        return {"gain": NAN, "gain_low": NAN, "gain_high": NAN, "p": NAN}
    more = ours - theirs
    low, high = interval(more)
    return {"gain": more.mean(), "gain_low": low, "gain_high": high, "p": paired(ours, theirs)}


def _verdict(p: float, gain: float) -> str:
    if np.isnan(p):
        return ""
    return EQUAL if p >= LEVEL else BETTER if gain > 0 else WORSE


def write_table(rows: pd.DataFrame, file: Path) -> None:
    """Write the table as CSV; numbers with four digits."""
    rows.to_csv(file, index=False, float_format="%.4g", na_rep="nan", lineterminator="\n")


def read_table(file: Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote."""
    return pd.read_csv(file, keep_default_na=False, na_values="nan")
