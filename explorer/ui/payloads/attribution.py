"""The JSON of what an answer rests on, for the tab "Debug"."""

from __future__ import annotations

from dataclasses import asdict

from explorer.analyses.attribution import importance
from explorer.analyses.attribution.restoration import RestorationResult
from explorer.analyses.attribution.score_evaluation import ScoreEvaluation
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.encoding import packed, rounded
from explorer.ui.session import Session


def importance_payload(result: importance.Importance) -> dict:
    """Describe what an answer rests on."""
    return asdict(result) | {
        "values": packed(result.values, "f4"),
        "words": list(result.words),
        "worth": rounded(result.worth),
        "full": rounded(result.full),
        "none": rounded(result.none),
        "delta": rounded(result.delta),
        "seconds": rounded(result.seconds),
        "weak": result.weak,
        "converged": result.converged,
    }


def restoration_payload(result: RestorationResult, session: Session) -> dict:
    """Describe which patches restore an answer, as the last reply to who asked for them."""
    after = result.after and answer_payload(result.after, session.truth, session.id)
    return {
        "done": True,
        "found": {
            "wanted": result.target,
            "kept": list(result.kept),
            "returned": list(result.restored_tokens),
            "before": answer_payload(result.before, session.truth, session.id),
            "after": after,
            "p_before": rounded(result.p_before),
            "p_after": rounded(result.p_after),
        },
    }


def trial_payload(result: ScoreEvaluation) -> dict:
    """Describe the curves of one score."""
    return {
        "name": result.name,
        "renumber": result.renumber,
        "step": result.step,
        "inserted": [rounded(s) for s in result.inserted],
        "deleted": [rounded(s) for s in result.deleted],
        "insertion": rounded(result.insertion),
        "deletion": rounded(result.deletion),
        "pruned": result.pruned and [[k, rounded(s)] for k, s in result.pruned],
        "spearman": rounded(result.spearman),
        "overlap": rounded(result.overlap),
    }
