"""Measure all phenomena on the same questions; knows the modules and in which order they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from explorer.metrics.phenomena import Finding
from explorer.tools.phenomena import (
    attention_depth,
    attention_vs_random,
    lower_half,
    method_order,
    question_kinds,
    retention,
    target_kept,
    text_dominance,
    withdrawal,
)
from explorer.tools.phenomena.observation import Observation, observe

PHENOMENA = (
    retention,
    method_order,
    question_kinds,
    target_kept,
    attention_vs_random,
    lower_half,
    attention_depth,
    withdrawal,
    text_dominance,
)
SPECS = list(dict.fromkeys(spec for module in PHENOMENA for spec in module.SPECS))


def measure(seeds: Sequence[int], tell: Callable[[int], None] = lambda done: None) -> list[Finding]:
    """Ask one question about each scene and give what is found. tell: hears how many are done."""
    observations: list[Observation] = []
    for done, each in enumerate(observe(seeds, SPECS, attention_vs_random.SWAPPED), 1):
        observations.append(each)
        tell(done)
    return [finding for module in PHENOMENA for finding in module.findings(observations)]
