"""What a case keeps of the inside of its answers, where somebody has looked into them.

Numbers and words layer by layer; maps are made anew where the case is opened. Knows records of the
inside and fields of a case; not how they are written.
"""

from __future__ import annotations

from explorer.analyses.inside.looking import run_key
from explorer.analyses.inside.records import Inside, Removal
from explorer.analyses.inside.removal import removal_key
from explorer.analyses.sharing.case_fields import StoredInside, StoredRemoval
from explorer.analyses.sharing.case_file import Looks
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest


def known_looks(request: CaseRequest, runs: list[tuple[str, int]], cache: ResultCache) -> Looks:
    """Give what the cache has of the inside of some runs, and of the answer without a picture.

    runs: methods and budgets.
    """
    known = {run: cache.get(run_key("inside", request, *run)) for run in runs}
    insides = {run: stored_inside(inside) for run, inside in known.items() if inside is not None}
    return Looks(insides, stored_removal(cache.get(removal_key(request.id)) or ()))


def stored_inside(inside: Inside) -> StoredInside:
    """Write down what no map is needed for."""
    return StoredInside(
        stands_from=inside.answer_stands_from,
        says=[" ".join(filter(None, words)) for words in inside.says],
        shares=[[float(share) for share in layer] for layer in inside.shares.mean(0)],
    )


def stored_removal(removal: tuple[Removal, ...]) -> tuple[StoredRemoval, ...]:
    """Write down the answers without a picture from some layer on."""
    return tuple(
        StoredRemoval(layer=each.layer, text=each.text, p_full=each.p_full) for each in removal
    )
