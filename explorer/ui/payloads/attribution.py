"""The JSON of what an answer rests on, for the tab "Debug"."""

from __future__ import annotations

from dataclasses import asdict

from explorer.analyses.attribution import importance
from explorer.analyses.attribution.restoration import RestorationResult
from explorer.analyses.attribution.score_evaluation import ScoreEvaluation
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.encoding import packed, rounded
from explorer.ui.session import Session


def importance_payload(found: importance.Importance) -> dict:
    """Describe what an answer rests on."""
    return asdict(found) | {
        "values": packed(found.values, "f4"),
        "words": list(found.words),
        "worth": rounded(found.worth),
        "full": rounded(found.full),
        "none": rounded(found.none),
        "delta": rounded(found.delta),
        "seconds": rounded(found.seconds),
        "weak": found.weak,
        "converged": found.converged,
    }


def _verdict(found: RestorationResult, visit: Session) -> dict:
    after = found.after and answer_payload(found.after, visit.truth, visit.id)
    return {
        "done": True,
        "found": {
            "wanted": found.wanted,
            "kept": list(found.kept),
            "returned": list(found.returned),
            "before": answer_payload(found.before, visit.truth, visit.id),
            "after": after,
            "p_before": rounded(found.p_before),
            "p_after": rounded(found.p_after),
        },
    }


def trial_payload(found: ScoreEvaluation) -> dict:
    """Describe the curves of one score."""
    return {
        "name": found.name,
        "step": found.step,
        "inserted": [rounded(s) for s in found.inserted],
        "deleted": [rounded(s) for s in found.deleted],
        "insertion": rounded(found.insertion),
        "deletion": rounded(found.deletion),
        "pruned": found.pruned and [[k, rounded(s)] for k, s in found.pruned],
        "spearman": rounded(found.spearman),
        "overlap": rounded(found.overlap),
    }
