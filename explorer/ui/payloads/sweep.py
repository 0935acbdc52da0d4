"""The JSON of a sweep, for the tab "Sweep" and the endpoint /sweep."""

from __future__ import annotations

import numpy as np

from explorer.analyses.sweep import Sweep, Swept
from explorer.cases.records import Answer
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.comparison import chance_payload
from explorer.ui.payloads.encoding import rounded


def sweep_payload(found: Sweep) -> dict:
    """Describe a sweep as JSON; a figure that does not exist is null."""
    chances = zip(found.budgets, found.random, strict=True)
    return {
        "case": found.case,
        "tokens": found.tokens,
        "budgets": list(found.budgets),
        "full": answer_payload(found.full),
        "per_token": found.per_token,
        "methods": [_swept(each) for each in found.methods],
        "draws": [_swept(each) for each in found.draws],
        "random": [
            {"budget": budget} if chance is None else chance_payload(chance)
            for budget, chance in chances
        ],
    }


def _swept(each: Swept) -> dict:
    points = zip(each.budgets, each.answers, each.likelihood, strict=True)
    return {
        "method": each.method,
        "floor": each.floor,
        "k_star": each.k_star,
        "flips": each.n_flips,
        "area": rounded(each.auc),
        "area_of_random": rounded(each.auc_random),
        "random": [chance_payload(chance) for chance in each.random if chance],
        "error": each.error,
        "points": [_point(*point) for point in points],
    }


def _point(budget: int, answer: Answer | None, likelihood: float | None) -> dict:
    if answer is None:
        return {"budget": budget, "text": None}
    found = answer.dominance
    stages = found.stages if found else {}
    return {
        "budget": budget,
        "text": answer.text,
        "same": answer.agrees,
        "likeness": rounded(likelihood),
        "p_full": rounded(answer.p_full),
        "tokens_at_last_layer": answer.final,
        "mdi": {name: rounded(mdi) for name, (mdi, _) in stages.items()},
        "text_tokens": int(np.max(found.text)) if found else None,
    }
