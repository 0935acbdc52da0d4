"""Whether text dominates, by depth, and whether fewer visual tokens bring it towards balance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from explorer.cases.generation import FULL
from explorer.metrics.phenomena import Finding
from explorer.tools.phenomena.observation import Observation

SHARES = {"25 %": 49, "10 %": 20, "5 %": 10}
SPECS = [("clsattn", budget) for budget in SHARES.values()]
STAGES = ("early", "middle", "late")


def findings(observations: Sequence[Observation]) -> list[Finding]:
    """Tell the median MDI of the stages, of all tokens and of those that [CLS] attention keeps."""
    full = _stages([each.answers[FULL, each.tokens] for each in observations])
    pruned = {
        name: _stages([each.answers["clsattn", budget] for each in observations])
        for name, budget in SHARES.items()
    }
    means = [float(np.mean(full)), *(float(np.mean(row)) for row in pruned.values())]
    return [
        Finding(
            "Text dominates, most in later layers",
            "MDI far above 1 in middle and late layers (arXiv 2508.10552)",
            f"MDI {_row(full)} ({', '.join(STAGES)})",
            min(full) > 1 and full[2] > full[0],
        ),
        Finding(
            "Fewer visual tokens bring text and picture nearer to balance",
            "MDI falls with compression by [CLS] to 25, 10 and 5 % (the same)",
            "; ".join(f"{name}: {_row(row)}" for name, row in pruned.items()),
            all(later < earlier for earlier, later in pairwise(means)),
        ),
    ]


def _stages(answers: list) -> list[float]:
    return [
        float(np.nanmedian([answer.dominance.stages[stage][0] for answer in answers]))
        for stage in STAGES
    ]


def _row(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)
