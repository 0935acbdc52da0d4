"""The JSON of a comparison, for the tab "Compare" and the endpoint /compare."""

from __future__ import annotations

import math

import numpy as np

from explorer.analyses.comparison import Chance, Compared, Comparison
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.encoding import rounded


def comparison_payload(found: Comparison) -> dict:
    """Describe a comparison as JSON; a figure that does not exist is null."""
    return {
        "case": found.case,
        "budget": found.budget,
        "tokens": found.tokens,
        "full": answer_payload(found.full),
        "per_token": found.per_token,
        "methods": [_compared(each) for each in found.methods],
        "random": chance_payload(found.random)
        | {"draws": [answer_payload(answer) for answer in found.random.draws]},
        "jaccard": _matrix(found.jaccard),
        "spearman": _matrix(found.spearman),
        "disputed": found.keep_counts.tolist(),
        "notes": list(found.notes),
    }


def _compared(each: Compared) -> dict:
    return {
        "method": each.method,
        "budget": each.budget,
        "reached": each.reached,
        "kept": each.kept.tolist(),
        "likeness": rounded(each.likelihood),
        "worse_than_random": each.worse,
        "random": None if each.random is None else chance_payload(each.random),
        "select_seconds": rounded(each.select_seconds),
        "answer": None if each.answer is None else answer_payload(each.answer),
        "error": each.error,
    }


def chance_payload(random: Chance) -> dict:
    """Describe what a random does at a budget, its draws together."""
    return {
        "method": random.method,
        "budget": random.budget,
        "likeness": rounded(random.likelihood),
        "lowest": rounded(random.lowest),
        "spread": rounded(random.spread),
        "same": random.same,
    }


def _matrix(values: np.ndarray) -> list[list[float | None]]:
    return [[None if math.isnan(x) else round(x, 4) for x in row] for row in values.tolist()]
