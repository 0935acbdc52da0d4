"""From which layer on the picture is no longer needed: all visual tokens leave before layer r."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from explorer.metrics.phenomena import Finding
from explorer.tools.phenomena.observation import Observation

TOKENS, LAYERS = 196, 12
BEFORE = (1, 2, 4, 6, 8, 10, 11)
BUDGETS = {layer: ceil(layer * TOKENS / LAYERS) for layer in BEFORE}  # VTW leaves before r there
SPECS = [("vtw", budget) for budget in BUDGETS.values()]


def findings(observations: Sequence[Observation]) -> list[Finding]:
    """Tell what share of the full answers comes again, by layer."""
    same = {
        layer: sum(each.answers["vtw", budget].agrees for each in observations) / len(observations)
        for layer, budget in BUDGETS.items()
    }
    enough = next((layer for layer in BEFORE if same[layer] >= 0.95), LAYERS)
    return [
        Finding(
            "In the upper half of the layers the picture is no longer needed",
            "all visual tokens leave before layer 15 of 32 with answers kept (VTW, 2405.05803)",
            "same answers, all removed before layer "
            + ", ".join(f"{layer}: {share:.2f}" for layer, share in same.items())
            + (f"; 95 % from layer {enough} on" if enough < LAYERS else ""),
            enough <= LAYERS // 2,
        )
    ]
