"""Whether methods come in the order at a third of the tokens in which papers report them."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.methods import catalog
from explorer.metrics.agreement import kendall
from explorer.metrics.phenomena import Finding
from explorer.tools.phenomena.observation import Observation

PUBLISHED = {"mmtok": 2, "divprune": 2, "visionzip": 2, "sparsevlm": 1, "fastv": 0}
THIRD = 65  # of 196


def _spec(name: str, change: str) -> str:
    """Name a method, with the change if it has that option; SparseVLM always counts anew."""
    has = change and "positions" in catalog.find(name).options()
    return f"{name}?{change}" if has else name


POLICIES = {
    "positions as their authors have them": "",
    "kept where that can be chosen": "positions=keep",
}
SPECS = [(_spec(name, change), THIRD) for change in POLICIES.values() for name in PUBLISHED]
ALIKE = 0.6  # Kendall's tau from which two orders count as the same


def findings(observations: Sequence[Observation]) -> list[Finding]:
    """Compare the shares of right answers with the published order, under each policy."""
    told, alike = [], True
    for policy, change in POLICIES.items():
        right = {
            name: sum(each.right(_spec(name, change), THIRD) for each in observations)
            / len(observations)
            for name in PUBLISHED
        }
        tau = kendall(list(PUBLISHED.values()), list(right.values()))
        order = sorted(right, key=lambda name: -right[name])
        shares = ", ".join(f"{name} {right[name]:.2f}" for name in order)
        told.append(f"{policy}: {shares}; Kendall's tau {tau:.2f}")
        alike = alike and tau >= ALIKE
    return [
        Finding(
            "Methods come in the published order at a third of the tokens",
            "MMTok, DivPrune, VisionZip > SparseVLM > FastV in published comparisons",
            ". ".join(told),
            alike,
        )
    ]
