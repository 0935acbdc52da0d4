"""Answer from visual tokens that a person has picked by hand.

The others are dropped before the language model. Knows cases and the engine; not methods, nor how
the picking is done.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from explorer.cases.answers import by_plan
from explorer.cases.cache import CacheKey, ResultCache, get_or_compute
from explorer.cases.case import Case, open_case
from explorer.cases.generation import ANSWER_BYTES
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.errors import BadPick
from explorer.inference.prefill import PruningPlan
from explorer.media import grid
from explorer.media.grid import Box
from explorer.methods import catalog
from explorer.methods.signals import Kept, Stage

HAND_PICKED = "picked"  # what such an answer has in place of a method
NO_PICTURE = "no picture"


def renumbers(spec: str) -> bool:
    """Tell how a set that a method chose has to be picked to give that method's answer."""
    return catalog.resolve(spec).positions == "renumber"


def check_kept(kept: object, tokens: int) -> tuple[int, ...]:
    """Give the picked tokens in ascending order, or raise `BadPick` with a sentence."""
    if not isinstance(kept, Sequence) or isinstance(kept, str):
        raise BadPick("Picked patches are a list of their numbers.")
    whole = [token for token in kept if isinstance(token, int) and not isinstance(token, bool)]
    if len(whole) != len(kept) or any(not 0 <= token < tokens for token in whole):
        raise BadPick(f"Patches are numbered from 0 to {tokens - 1}; there is another in the list.")
    if len(set(whole)) != len(whole):
        raise BadPick("The list names a patch twice.")
    if not whole:
        raise BadPick("Keep at least one patch: without any there is no picture to answer from.")
    return tuple(sorted(whole))


def plan_of(kept: Sequence[int], renumber: bool) -> PruningPlan:
    """Let all but the picked tokens leave before the language model."""

    def choose(signals, stage) -> Kept:
        return Kept(torch.tensor(kept, dtype=torch.long, device=signals.grid_position.device))

    return PruningPlan((Stage(0, len(kept)),), choose, renumber=renumber)


@use_case(cost=GpuCost(answers=2))  # the full answer, to which it is compared, is one
def answer_from_tokens(
    request: CaseRequest,
    kept: Sequence[int],
    renumber: bool = False,
    *,
    cache: ResultCache | None = None,
) -> Answer:
    """Answer from the picked visual tokens alone; see `Answer`.

    renumber: count the positions of those that stay anew, as most methods do that prune before the
    language model; False leaves them where they were. Raises `BadPick`.
    """
    case = open_case(request, cache)
    return hand_picked(case, check_kept(list(kept), case.size.tokens), renumber, cache)


@use_case(cost=GpuCost(answers=0))
def kept_shares(
    request: CaseRequest,
    kept: Sequence[int],
    boxes: Sequence[Box],
    *,
    cache: ResultCache | None = None,
) -> list[float]:
    """Give the share of each box on the picture that lies under kept patches."""
    case = open_case(request, cache)
    kept = check_kept(list(kept), case.size.tokens)
    return [grid.share(case.vision.grid, box, kept) for box in boxes]


def hand_picked(
    case: Case, kept: tuple[int, ...], renumber: bool = False, cache: ResultCache | None = None
) -> Answer:
    """Answer from a checked set, unless the cache has that answer."""
    return get_or_compute(
        cache,
        CacheKey("picked", case.id, (renumber, kept)),
        lambda: by_plan(case, HAND_PICKED, len(kept), plan_of(kept, renumber), cache),
        lambda _: ANSWER_BYTES + 60 * len(kept),
    )


def without_picture(case: Case, cache: ResultCache | None = None) -> Answer:
    """Answer from no visual token at all, the words around the picture as they were."""
    return get_or_compute(
        cache,
        CacheKey(NO_PICTURE, case.id),
        lambda: by_plan(case, NO_PICTURE, 0, plan_of((), renumber=False), cache),
        lambda _: ANSWER_BYTES,
    )
