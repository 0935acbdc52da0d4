"""Whether reading the question helps where the answer is in one place, not where all counts."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.metrics.phenomena import Finding
from explorer.tools.phenomena.observation import Observation

LOCALISED, COUNTING = ("at", "where", "rel", "color"), ("count", "total")
READING, BLIND = ("cdpruner", "mmtok"), ("divprune", "clsattn")  # all before the LLM, renumbered
BUDGET = 21
SPECS = [(spec, BUDGET) for spec in (*READING, *BLIND)]


def findings(observations: Sequence[Observation]) -> list[Finding]:
    """Tell what methods that read the question gain over those that don't, by kind of question."""
    gains = {}
    for name, kinds in {"localised": LOCALISED, "counting": COUNTING}.items():
        some = [each for each in observations if each.question.kind in kinds]
        means = [
            sum(each.right(spec, BUDGET) for each in some for spec in specs)
            / max(1, len(some) * len(specs))
            for specs in (READING, BLIND)
        ]
        gains[name] = means[0] - means[1]
    told = ", ".join(f"{name} {100 * gain:+.0f} points" for name, gain in gains.items())
    return [
        Finding(
            "Reading the question helps where the answer lies in one place",
            "more for localised questions than for counting (what CDPruner and MMTok are made for)",
            f"{' and '.join(READING)} against {' and '.join(BLIND)} at {BUDGET}: {told}",
            gains["localised"] > max(0.0, gains["counting"]),
        )
    ]
