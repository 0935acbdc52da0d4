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
METHODS = ("fastv", "fitprune", "visiondrop", "corematching")
SWAPPED = {(name, BUDGET): (chance.chance_of(name), BUDGET) for name in METHODS}
SPECS = [spec for pair in SWAPPED.items() for spec in pair]


def findings(observations: Sequence[Observation]) -> list[Finding]:
    """Compare right answers, how often nothing of a thing stays, and what an exchange brings."""
    return [_behind(observations), _by_the_thing(observations)]


def _behind(observations: Sequence[Observation]) -> Finding:
    right = {spec: np.mean([each.right(*spec) for each in observations]) for spec in SPECS}
    about = [each for each in observations if each.one_target]
    lost = {spec: np.mean([not each.target_kept(*spec).any() for each in about]) for spec in SPECS}
    told = [
        f"{catalog.title(method[0])} {right[method]:.2f} ({right[random]:.2f}), "
        f"nothing left {lost[method]:.2f} ({lost[random]:.2f})"
        for method, random in SWAPPED.items()
    ]
    return Finding(
        "FastV, FitPrune, VisionDrop and CoreMatching fall behind random at their layers",
        "scores of importance are usually worse than random (DART, arXiv 2502.11494)",
        f"right at {BUDGET}, and how often no patch is left of the one thing asked about (in "
        f"brackets random): {'; '.join(told)}",
        all(right[method] < right[random] for method, random in SWAPPED.items()),
    )


def _by_the_thing(observations: Sequence[Observation]) -> Finding:
    """Ask which tokens cost the answers: those on the thing that is asked about, or the others."""
    about = [each for each in observations if each.one_target]
    told, by_it, not_by_it = [], [], []
    for method, random in SWAPPED.items():
        own, theirs = (np.mean([each.right(*spec) for each in about]) for spec in (method, random))
        thing = np.mean([each.is_right(each.swaps[method].thing) for each in about])
        others = np.mean([each.is_right(each.swaps[method].others) for each in about])
        title = catalog.title(method[0])
        told.append(f"{title} {own:.2f} / {thing:.2f} / {others:.2f} / {theirs:.2f}")
        costs = thing > own and thing >= (own + theirs) / 2 and thing > others
        (by_it if costs else not_by_it).append(title)
    return Finding(
        "What costs them the answers is what they leave of the thing asked about, not the rest",
        "not reported",
        f"so for {', '.join(by_it) or 'none'}, not for {', '.join(not_by_it) or 'any other'}. "
        f"Right about one thing at {BUDGET}, as it is / with the thing's patches as random keeps "
        f"them / with all others so / random: {'; '.join(told)}",
        len(by_it) > len(not_by_it),
    )
