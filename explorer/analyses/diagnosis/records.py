"""The records that a diagnosis gives: answers beside each other, steps, and the whole of it."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.analyses.diagnosis.verdict import Verdict
from explorer.analyses.diagnosis.word_losses import WordLoss

QUESTIONS = {
    "full": "Is the model right with all tokens?",
    "pruned": "Is it right after pruning?",
    "positions": "Is it right from the same tokens, their positions counted in the other way?",
    "alone": "Is it right from the kept patches alone, unmerged and chosen at once?",
    "restored": "With which dropped patches back is it right?",
    "others": "Does another method keep them?",
    "oracle": "What does the answer rest on?",
    "blind": "Does it answer without looking?",
}
"""The steps of a diagnosis in their order, and what each asks."""


@dataclass(frozen=True)
class RunAnswer:
    """What one run of a step answered. run: in words; right: None where there is no answer."""

    run: str
    text: str
    right: bool | None = None


@dataclass(frozen=True)
class StepResult:
    """What one step has found, in a sentence, with its evidence.

    holds: the answer to its question, None where that is no yes or no; asked: False where the
    question makes no sense for this case, and `finding` says why. patches: those it is about.
    words: what each word of the full answer loses.
    """

    key: str
    finding: str
    holds: bool | None = None
    asked: bool = True
    runs: tuple[RunAnswer, ...] = ()
    patches: tuple[int, ...] = ()
    words: tuple[WordLoss, ...] = ()

    @property
    def question(self) -> str:
        """What the step asks."""
        return QUESTIONS[self.key]


@dataclass(frozen=True)
class Diagnosis:
    """Why a method's answer fails at a budget.

    truth: the right answer, None where nobody knows it and the full answer stands in for it.
    sentence: the verdict with its reason; patches: the evidence that was dropped, if that is why.
    """

    case: str
    method: str
    budget: int
    truth: str | None
    full: str
    pruned: str
    verdict: Verdict
    sentence: str
    steps: tuple[StepResult, ...]
    patches: tuple[int, ...] = ()
