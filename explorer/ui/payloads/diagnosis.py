"""The JSON of a diagnosis: steps with their evidence, and the verdict."""

from __future__ import annotations

from explorer.analyses.diagnosis.records import QUESTIONS, Diagnosis, StepResult
from explorer.ui.payloads.encoding import rounded

STEPS = [{"key": key, "question": question} for key, question in QUESTIONS.items()]


def step_payload(step: StepResult) -> dict:
    """Describe one step."""
    return {
        "key": step.key,
        "question": step.question,
        "finding": step.finding,
        "holds": step.holds,
        "asked": step.asked,
        "runs": [{"run": each.run, "text": each.text, "right": each.right} for each in step.runs],
        "patches": list(step.patches),
        "words": [{"text": each.text, "loss": rounded(each.loss)} for each in step.words],
    }


def diagnosis_payload(found: Diagnosis) -> dict:
    """Describe the verdict and all steps that led to it."""
    return {
        "case": found.case,
        "method": found.method,
        "budget": found.budget,
        "truth": found.truth,
        "full": found.full,
        "pruned": found.pruned,
        "verdict": str(found.verdict),
        "sentence": found.sentence,
        "patches": list(found.patches),
        "steps": [step_payload(step) for step in found.steps],
    }
