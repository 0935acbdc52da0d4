"""What a case keeps of what pruning does to answers, where somebody has asked for it.

Answers to probes, captions, and how firmly the answer stands. Knows records of effects and fields
of a case; not how they are written.
"""

from __future__ import annotations

from explorer.analyses.effects.captions import Caption, captions_key
from explorer.analyses.effects.probes import ProbedThing, probes_key
from explorer.analyses.effects.stability import Stability, stability_key
from explorer.analyses.sharing.case_fields import StoredCaption, StoredProbe, StoredStability
from explorer.analyses.sharing.case_file import Looks
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest


def with_effects(
    looks: Looks, request: CaseRequest, method: str, budget: int, cache: ResultCache
) -> Looks:
    """Add what the cache has of a method's effects on a case."""
    firm = cache.get(stability_key(request.id, method, budget))
    return looks._replace(
        probes=stored_probes(cache.get(probes_key(request.id, method)) or ()),
        captions=stored_captions(cache.get(captions_key(request.id, method)) or ()),
        stability=None if firm is None else stored_stability(firm),
    )


def stored_probes(found: tuple[ProbedThing, ...]) -> tuple[StoredProbe, ...]:
    """Write down what was said about things, run by run."""
    return tuple(
        StoredProbe(
            thing=probed.thing.name,
            there=probed.thing.there,
            method=each.method,
            budget=each.budget,
            text=each.text,
            says_yes=each.says_yes,
            yes=each.share_yes,
        )
        for probed in found
        for each in (probed.full, *probed.answers)
    )


def stored_captions(found: tuple[Caption, ...]) -> tuple[StoredCaption, ...]:
    """Write down how the runs described the picture."""
    return tuple(
        StoredCaption(
            method=each.method,
            budget=each.budget,
            text=each.text,
            hallucinated=[each.text[m.start : m.stop] for m in each.read.hallucinated],
            chair_i=each.read.chair_i,
            recall=each.read.recall,
        )
        for each in found
    )


def stored_stability(found: Stability) -> StoredStability:
    """Write down how firmly an answer stands."""
    return StoredStability(
        method=found.method,
        budget=found.budget,
        k_star=found.k_star,
        flips=found.flips,
        subsets=len(found.subsets),
        subsets_keep=found.subsets_keep,
    )
