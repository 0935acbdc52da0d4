"""How many answers stay the same with fewer tokens, chosen by chance, under both policies."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.metrics.phenomena import Finding
from explorer.tools.phenomena.observation import Observation

POLICIES = {"kept": "random?positions=keep", "counted anew": "random"}
BUDGETS = (128, 64, 21)
ABOVE = ("clsattn", "divprune", "mmtok", "cdpruner")  # who might beat chance at few tokens
SPECS = [(spec, budget) for spec in POLICIES.values() for budget in BUDGETS]
SPECS += [(f"{spec}?positions=keep", BUDGETS[-1]) for spec in ABOVE]


def findings(observations: Sequence[Observation]) -> list[Finding]:
    """Tell what share of the full answers comes again, and what a good choice adds."""
    same = {
        spec: sum(each.answers[spec].agrees for each in observations) / len(observations)
        for spec in SPECS
    }
    kept, anew = ([same[POLICIES[name], k] for k in BUDGETS] for name in POLICIES)
    told = " / ".join(map(str, BUDGETS))
    best = max((spec for spec in SPECS if spec[0].split("?")[0] in ABOVE), key=same.get)
    gain = same[best] - same[POLICIES["kept"], BUDGETS[-1]]
    return [
        Finding(
            "A third of the tokens, whichever, keeps nearly all answers",
            "about 95 % and more at 192 of 576 (headlines of VisionZip, MMTok, SparseVLM)",
            f"random at {told} of 196, positions kept: {_shares(kept)}",
            kept[1] >= 0.93,
        ),
        Finding(
            "It matters little whether positions are kept or counted anew",
            "authors do the one or the other, and report 95 % and more either way",
            f"random at {told}, counted anew: {_shares(anew)}",
            max(abs(a - b) for a, b in zip(kept, anew, strict=True)) <= 0.03,
        ),
        Finding(
            "At a tenth of the tokens a good choice beats chance by 10 points",
            "VisionZip and MMTok report 95 % and more at 64 of 576",
            f"best of {len(ABOVE)} at {BUDGETS[-1]}: {best[0].split('?')[0]} {same[best]:.2f}, "
            f"{100 * gain:+.0f} points",
            gain >= 0.10,
        ),
    ]


def _shares(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.2f}" for value in values)
