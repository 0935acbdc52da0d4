"""What pruning did to many probes and captions: a table with intervals and paired tests.

Knows records of answers; runs no model, and doesn't know what methods are. Probes about one scene
are alike: intervals come from drawing whole scenes. McNemar's test takes the probes one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from explorer.metrics.effects import calibration, pope
from explorer.metrics.effects.pope import Confusion
from explorer.metrics.significance import DRAWS, mcnemar

PROBE = ["seed", "thing"]  # the columns that name one
MOST_EXAMPLES = 12


@dataclass(frozen=True)
class ProbeRecord:
    """One answer to "is there a ...?".

    row: "full", or the spec of a method or random. why: "there", or the strategies, joined by "+",
    that chose a thing which isn't. p_yes, p_no: of the first token; nan where unknown.
    """

    seed: int
    thing: str
    there: bool
    why: str
    row: str
    text: str
    p_yes: float
    p_no: float

    @property
    def says_yes(self) -> bool:
        """What the text says by POPE's rule."""
        return pope.says_yes(self.text)


@dataclass(frozen=True)
class CaptionRecord:
    """What one caption names: counts of mentions, of those hallucinated, of true things named, and
    of the things that are there; length in tokens.
    """

    seed: int
    row: str
    mentions: int
    hallucinated: int
    named: int
    there: int
    length: int


def ratio_interval(
    parts: Sequence[float], wholes: Sequence[float], seed: int = 0
) -> tuple[float, float]:
    """Give the 95 % bootstrap interval of sum(parts) / sum(wholes), drawing scenes [S]. Seeded."""
    parts, wholes = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(parts), (DRAWS, len(parts)))
    total = wholes[drawn].sum(1)
    ratios = np.divide(parts[drawn].sum(1), total, out=np.zeros(DRAWS), where=total > 0)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def to_frame(records: Sequence[ProbeRecord]) -> pd.DataFrame:
    """Give probes as rows, with what was said, whether it is right, and how sure the model was.

    sure: the probability of the likelier of yes and no, of both together.
    """
    frame = pd.DataFrame([vars(each) | {"yes": each.says_yes} for each in records])
    frame["right"] = frame["yes"] == frame["there"]
    both = frame["p_yes"] + frame["p_no"]
    share = (frame["p_yes"] / both).where(both > 0)
    frame["share_yes"], frame["sure"] = share, np.maximum(share, 1 - share)
    frame["sure_right"] = (share >= 0.5) == frame["there"]
    return frame


def summary(
    probes: pd.DataFrame, captions: Sequence[CaptionRecord], method: str, random: str
) -> list[dict]:
    """Sum up: a row for "full", one for the method and one for its random.

    accuracy, precision, recall, f1, yes_ratio: shares of n probes, accuracy with low..high;
    hallucinated, lost: counts. ece, brier: over the probes whose probabilities are known, None
    below 100. fixed, broken: against the full run, with McNemar's exact p; for the method also
    better, worse and p_random against its random. by_strategy: accuracy and F1 of the positives
    with the negatives of one strategy, as POPE reports them. captions: see `_captions`.
    """
    by_row = {
        row: group.set_index(PROBE).sort_index() for row, group in probes.groupby("row", sort=False)
    }
    spoken = pd.DataFrame([vars(each) for each in captions])
    rows = []
    for row in dict.fromkeys(("full", method, random)):
        told = {"row": row, **_probed(by_row[row])}
        if row != "full":
            told |= _paired(by_row["full"], by_row[row], "broken", "fixed", "p")
        if row == method != random:
            told |= _paired(by_row[random], by_row[row], "worse", "better", "p_random")
        if len(spoken):
            told["captions"] = _captions(spoken[spoken["row"] == row])
        rows.append(told)
    return rows


def _probed(group: pd.DataFrame) -> dict:
    counts = Confusion.of(group["yes"], group["there"])
    scenes = group["right"].groupby(level="seed").agg(["sum", "count"])
    known = group[group["sure"].notna()]
    enough = len(known) >= calibration.ENOUGH
    return {
        "n": counts.n,
        **_scores(counts),
        "interval": ratio_interval(scenes["sum"], scenes["count"]),
        "hallucinated": counts.fp,
        "lost": counts.fn,
        "ece": calibration.ece(known["sure"], known["sure_right"]) if enough else None,
        "brier": calibration.brier(known["sure"], known["sure_right"]) if enough else None,
        "by_strategy": {name: _of_strategy(group, name) for name in pope.STRATEGIES},
    }


def _scores(counts: Confusion) -> dict[str, float]:
    names = ("accuracy", "precision", "recall", "f1", "yes_ratio")
    return {name: getattr(counts, name) for name in names}


def _of_strategy(group: pd.DataFrame, strategy: str) -> dict:
    """Score the things that are there with those that one strategy chose."""
    chosen = group["why"].map(lambda why: strategy in why.split("+"))
    mine = group[group["there"] | chosen]
    counts = Confusion.of(mine["yes"], mine["there"])
    return {"n": counts.n, **_scores(counts)}


def _paired(theirs: pd.DataFrame, ours: pd.DataFrame, lost: str, won: str, p: str) -> dict:
    """Compare on the same probes: how many one gets right and the other wrong, both ways."""
    a, b = (x.to_numpy(bool) for x in theirs["right"].align(ours["right"], join="inner"))
    return {lost: int((a & ~b).sum()), won: int((b & ~a).sum()), p: mcnemar(b, a)}


def _captions(group: pd.DataFrame) -> dict:
    """Give CHAIRi, CHAIRs and recall with intervals, and the mean length."""
    pairs = {
        "chair_i": (group["hallucinated"], group["mentions"]),
        "chair_s": (group["hallucinated"] > 0, group["seed"].notna()),
        "recall": (group["named"], group["there"]),
    }
    found: dict[str, object] = {"n": len(group), "length": float(group["length"].mean())}
    for name, (part, whole) in pairs.items():
        total = float(whole.sum())
        low, high = ratio_interval(part, whole)
        found[name] = {
            "value": float(part.sum()) / total if total else 0.0,
            "low": low,
            "high": high,
        }
    return found


def examples(
    probes: pd.DataFrame, method: str, most: int = MOST_EXAMPLES
) -> dict[str, list[dict[str, object]]]:
    """Choose as many probes that pruning fixes as it breaks, most surely changed first.

    Fewer than `most` of each where one kind is rarer: neither is easier to come by than the other.
    """
    by_row = {row: group.set_index(PROBE) for row, group in probes.groupby("row", sort=False)}
    full, pruned = by_row["full"], by_row[method]
    both = pruned.join(full[["right", "share_yes"]].add_suffix("_full"))
    both["moved"] = (both["share_yes"] - both["share_yes_full"]).abs().fillna(0)
    both = both.sort_values("moved", ascending=False, kind="stable").reset_index()
    kinds = {
        "fixed": both[both["right"] & ~both["right_full"]],
        "broken": both[~both["right"] & both["right_full"]],
    }
    count = min(most, *map(len, kinds.values()))
    return {
        kind: [_example(row) for row in rows[:count].itertuples()] for kind, rows in kinds.items()
    }


def _example(row) -> dict[str, object]:
    return {
        "seed": int(row.seed),
        "thing": row.thing,
        "there": bool(row.there),
        "full": None if np.isnan(row.share_yes_full) else round(float(row.share_yes_full), 4),
        "pruned": None if np.isnan(row.share_yes) else round(float(row.share_yes), 4),
    }
