"""Whether FastV prefers the lower end of a picture, and whether rotary positions are the reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.metrics.phenomena import Finding
from explorer.tools.phenomena.observation import Observation

BUDGET = 64
ROTARY, PLAIN = ("fastv", BUDGET), ("feather:norope", BUDGET)
SPECS = [ROTARY, PLAIN]
PREFERS = 0.6  # the share from which that is a preference


def findings(observations: Sequence[Observation]) -> list[Finding]:
    """Tell what share of the patches that FastV keeps lies in the lower half, with and without."""
    rotary, plain = (
        float(np.mean([lower_share(each, spec) for each in observations])) for spec in SPECS
    )
    return [
        Finding(
            "FastV prefers the lower end of the picture",
            "most of what it keeps is at the bottom (FEATHER, arXiv 2412.13180)",
            f"{rotary:.2f} of what it keeps lies in the lower half",
            rotary >= PREFERS,
        ),
        Finding(
            "Without rotary positions in its score that preference goes",
            "an even spread (FEATHER)",
            f"{plain:.2f} in the lower half without, {rotary:.2f} with them",
            rotary >= PREFERS and abs(plain - 0.5) <= 0.1,
        ),
    ]


def lower_share(observation: Observation, spec: tuple[str, int]) -> float:
    """Give the share of the kept patches whose middle is below that of the picture."""
    middles = observation.boxes[:, [1, 3]].mean(1)
    kept = observation.answers[spec].stages[-1].kept
    return float((middles[kept] > observation.scene.image.height / 2).mean())
