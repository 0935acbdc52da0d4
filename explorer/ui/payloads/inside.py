"""The JSON of the inside of answers, for the tab "Inside" and the endpoint /inside."""

from __future__ import annotations

import numpy as np

from explorer.analyses.inside.records import Counts, Inside, KeyReads, Removal
from explorer.ui.payloads.encoding import packed, rounded

STEPS = 65_534  # the number after it says that there is none


def inside_payload(inside: Inside) -> dict:
    """Describe a run but for its maps, which go one by one; see `map_payload`."""
    return {
        "method": inside.method,
        "budget": inside.budget,
        "text": inside.text,
        "agrees": inside.agrees,
        "predicted": list(inside.predicted),
        "probabilities": [rounded(each.probability) for each in inside.tokens],
        "heads": inside.heads,
        "entering": list(inside.entering),
        "cached": list(inside.cached),
        "shares": _digits(inside.shares),
        "candidates": [list(row) for row in inside.candidates],
        "chances": _digits(inside.chances),
        "says": [list(row) for row in inside.says],
        "stands_from": list(inside.stands_from),
        "answer_stands_from": inside.answer_stands_from,
    }


def map_payload(values: np.ndarray) -> dict:
    """Write a map [..., N] in 65,534 even steps from the lowest number to the highest."""
    values = np.asarray(values, dtype=np.float32)
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    scale = STEPS / (high - low) if high > low else 0.0
    steps = np.where(np.isfinite(values), np.rint((values - low) * scale), STEPS + 1)
    rows = 1 if values.ndim < 2 else len(values)
    return {"low": low, "high": high, "rows": rows, "steps": packed(steps, "u2")}


def reads_payload(reads: KeyReads, layer: int = 0) -> dict:
    """Describe what both methods would read. layer: the one whose votes are told."""
    tidal, select = reads.tidal, reads.select
    return {
        "tidal": {
            "start": tidal.start,
            "correction": tidal.correction,
            "keys": tidal.keys,
            "scope": tidal.scope,
            "early": map_payload(tidal.heat[0]),
            "late": map_payload(tidal.heat[1]),
            "heat": map_payload(tidal.heat[2]),
            "visual": _digits(tidal.visual),
            "recall": _digits(tidal.recall),
            "mass": _digits(tidal.mass),
            "persistence": _digits(tidal.persistence),
            "everything": tidal.everything,
            "text": tidal.text,
            "agrees": tidal.agrees,
            **_counts(tidal.counts),
        },
        "select": {
            "keys": select.keys,
            "theta": select.theta,
            "heat": map_payload(select.heat),
            "votes": map_payload(select.votes[min(layer, len(select.votes) - 1)]),
            "layer": layer,
            "mass": _digits(select.mass),
            "hits": select.hits.astype(int).tolist(),
            "hit_rate": rounded(select.hit_rate),
            "everything": select.everything,
            **_counts(select.counts),
        },
        "coverage": _digits(reads.coverage),
    }


def removal_payload(removal: Removal) -> dict:
    """Describe the answer without a picture from one layer on."""
    return {
        "layer": removal.layer,
        "text": removal.text,
        "same": removal.agrees,
        "p_full": rounded(removal.p_full),
    }


def _counts(counts: Counts) -> dict:
    first = counts.first.astype(np.float32)
    return {
        "often": map_payload(counts.often),
        "first": map_payload(np.where(first < 0, np.nan, first)),
        "union": rounded(counts.union),
    }


def _digits(values: np.ndarray) -> list:
    """Keep four places of all numbers, which is more than a chart shows; null for none."""
    if values.ndim > 1:
        return [_digits(row) for row in values]
    return [round(float(x), 4) if np.isfinite(x) else None for x in values]
