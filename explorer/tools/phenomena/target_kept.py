"""How much of the thing that is asked for lies under the patches that [CLS] attention keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.metrics.phenomena import Finding
from explorer.tools.phenomena.observation import Observation

BUDGETS = (64, 21)
SPECS = [("clsattn", budget) for budget in BUDGETS]


def findings(observations: Sequence[Observation]) -> list[Finding]:
    """Compare the share of the target's patches that stays with what chance would leave."""
    about = [each for each in observations if each.one_target]
    kept, chance = [], []
    for budget in BUDGETS:
        shares = [each.target_kept("clsattn", budget).mean() for each in about]
        kept.append(float(np.mean(shares)))
        chance.append(budget / about[0].tokens)
    told = [
        f"{share:.2f} at {budget} (chance {by_lot:.2f})"
        for share, budget, by_lot in zip(kept, BUDGETS, chance, strict=True)
    ]
    return [
        Finding(
            "[CLS] attention keeps the thing that is asked for without knowing the question",
            "[CLS] looks at what is salient (FasterVLM, VisionZip)",
            "share of its patches: " + ", ".join(told),
            all(share >= 1.5 * by_lot for share, by_lot in zip(kept, chance, strict=True)),
        )
    ]
