"""Whether a ranking by attention inside the language model beats random, and why not.

Attention ranks neighbours alike, so that much of one thing stays and nothing of another, where
random leaves a little of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.methods import catalog, chance
from explorer.metrics.phenomena import Finding
from explorer.tools.phenomena.observation import Observation

BUDGET = 64
RANDOM_OF = {name: chance.chance_of(name) for name in ("fastv", "fitprune", "visiondrop")}
SPECS = [(spec, BUDGET) for pair in RANDOM_OF.items() for spec in pair]


def findings(observations: Sequence[Observation]) -> list[Finding]:
    """Compare right answers, and how often no patch is left of the thing that is asked for."""
    right = {spec: np.mean([each.right(*spec) for each in observations]) for spec in SPECS}
    about = [each for each in observations if each.one_target]
    lost = {spec: np.mean([not each.target_kept(*spec).any() for each in about]) for spec in SPECS}
    told = []
    for pair in RANDOM_OF.items():
        method, random = ((spec, BUDGET) for spec in pair)
        told.append(
            f"{catalog.title(pair[0])} {right[method]:.2f} ({right[random]:.2f}), "
            f"nothing left {lost[method]:.2f} ({lost[random]:.2f})"
        )
    behind = [right[name, BUDGET] < right[random, BUDGET] for name, random in RANDOM_OF.items()]
    return [
        Finding(
            "FastV, FitPrune and VisionDrop fall behind random at their layers",
            "scores of importance are usually worse than random (DART, arXiv 2502.11494)",
            f"right at {BUDGET}, and how often no patch is left of the one thing asked about (in "
            f"brackets random): {'; '.join(told)}",
            all(behind),
        )
    ]
