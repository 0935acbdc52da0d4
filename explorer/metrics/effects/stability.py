"""How stable an answer is over budgets, random choices and other words for the same question.

The definitions are ours: the position paper (2505.18227) names coherence and overthinking and gives
no measure of them. K* and flips are those of budget_curve.py. Knows texts; not models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from explorer.metrics.fidelity import agrees

GRID = 10  # budgets at which an answer is asked for again
VERDICT = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


def budget_grid(tokens: int, floor: int = 1) -> tuple[int, ...]:
    """Give ten budgets, a tenth of all tokens apart and up to all of them; none below the floor."""
    steps = (max(floor, round(tokens * part / GRID)) for part in range(1, GRID + 1))
    return tuple(sorted({max(1, step) for step in steps}))


def verdict_changes(answer: str) -> int:
    """Count how often one answer goes over from "yes" to "no" or back."""
    verdicts = [found.group().lower() for found in VERDICT.finditer(answer)]
    return sum(one != other for one, other in pairwise(verdicts))


def share_that_keep(answers: Sequence[str], full: str) -> float:
    """Give the share of answers that say what the full one says; of none, nan."""
    same = [agrees(answer, full) for answer in answers]
    return sum(same) / len(same) if same else float("nan")
