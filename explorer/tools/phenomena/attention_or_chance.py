"""Whether a ranking by attention inside the language model keeps more than chance, and why not.

Attention ranks neighbours alike, so that much of one thing stays and nothing of another, where
chance leaves a little of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.media.grid import touched
from explorer.methods import catalog, chance
from explorer.metrics.phenomena import Finding
from explorer.tools.phenomena.observation import Observation

BUDGET = 64
CHANCE = {name: chance.chance_of(name) for name in ("fastv", "fitprune", "visiondrop")}
SPECS = [(spec, BUDGET) for pair in CHANCE.items() for spec in pair]


def findings(observations: Sequence[Observation]) -> list[Finding]:
    """Compare right answers, and how often no patch is left of the thing that is asked for."""
    right = {spec: np.mean([each.right(*spec) for each in observations]) for spec in SPECS}
    about = [each for each in observations if len(each.question.targets) == 1]
    lost = {spec: np.mean([nothing_left(each, spec) for each in about]) for spec in SPECS}
    told = []
    for pair in CHANCE.items():
        method, random = ((spec, BUDGET) for spec in pair)
        told.append(
            f"{catalog.title(pair[0])} {right[method]:.2f} ({right[random]:.2f}), "
            f"nothing left {lost[method]:.2f} ({lost[random]:.2f})"
        )
    behind = [right[name, BUDGET] < right[random, BUDGET] for name, random in CHANCE.items()]
    return [
        Finding(
            "FastV, FitPrune and VisionDrop fall behind random at their layers",
            "scores of importance are usually worse than random (DART, arXiv 2502.11494)",
            f"right at {BUDGET}, and how often no patch is left of the one thing asked about (in "
            f"brackets random): {'; '.join(told)}",
            all(behind),
        )
    ]


def nothing_left(observation: Observation, spec: tuple[str, int]) -> bool:
    """Tell whether no patch of the thing that is asked for reaches the last layer."""
    own = touched(observation.boxes, observation.question.targets[0].box)
    return not bool((observation.answers[spec].stages[-1].fate[own] == 0).any())
