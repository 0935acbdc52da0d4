"""The JSON of an answer: words, fidelity, cost, dominance and stages; payload.js reads it."""

from __future__ import annotations

import numpy as np

from explorer.cases.records import Answer
from explorer.metrics.fidelity import agrees
from explorer.metrics.text_dominance import Dominance
from explorer.ui.payloads.encoding import rounded


def answer_payload(answer: Answer, truth: str | None = None, case: str | None = None) -> dict:
    """Describe one answer; right is None where the truth is not known."""
    return {
        "case": case,
        "method": answer.method,
        "budget": answer.budget,
        "text": answer.text,
        "tokens": [{"text": t.text, "p": rounded(t.probability)} for t in answer.tokens],
        "right": None if truth is None else agrees(answer.text, truth),
        "same": answer.agrees,
        "p_full": rounded(answer.p_full),
        "kl": rounded(answer.kl),
        "drop": rounded(answer.log_prob_loss),
        "losses": [rounded(round(loss, 3) + 0.0) for loss in answer.token_losses],
        "final": answer.final if answer.layers else None,
        "mean": rounded(answer.mean) if answer.layers else None,
        "layers": list(answer.layers),
        "flops": answer.flops,
        "tower_flops": answer.tower_flops,
        "kv_bytes": answer.kv_bytes,
        "seconds": _rounded(answer.seconds),
        "full_seconds": _rounded(answer.full_seconds),
        "dominance": _dominances(answer),
        "partial": answer.partial,
        "error": None,
    }


def stages_payload(answer: Answer) -> list[dict]:
    """List who stayed at every stage, for scripts; the page has it from the maps."""
    return [
        {
            "layer": stage.layer,
            "kept": stage.kept.tolist(),
            "merged": stage.merged,
        }
        for stage in answer.stages
    ]


def _rounded(seconds: dict[str, float]) -> dict[str, float | None]:
    return {name: rounded(value) for name, value in seconds.items()}


def _dominances(answer: Answer) -> dict | None:
    """Describe MDI and AEI without the prompt's first token, and in `with_first` with it."""
    if answer.dominance is None:
        return None
    return dominance_payload(answer.dominance) | {
        "with_first": dominance_payload(answer.dominance_with_first)
    }


def dominance_payload(found: Dominance | None) -> dict | None:
    """Describe MDI and AEI; what is undefined or infinite becomes null."""
    if found is None:
        return None
    return {
        "mdi": [rounded(x) for x in found.mdi],
        "aei": [rounded(x) for x in found.aei],
        "stages": {name: [rounded(x) for x in pair] for name, pair in found.stages.items()},
        "text": int(np.max(found.text)),
        "image": [int(x) for x in np.atleast_1d(found.image)],
        "answer": int(found.answer),
    }
