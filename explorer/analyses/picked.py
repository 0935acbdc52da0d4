"""Answer from visual tokens that a person has picked by hand.

The others are dropped before the language model. Knows cases and the engine; not methods, nor how
the picking is done.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from explorer.cases import answers
from explorer.cases.cache import ResultCache, get_or_compute
from explorer.cases.case import Case, open_case
from explorer.cases.records import Answer
from explorer.cases.request import Source
from explorer.errors import BadPick
from explorer.inference.prefill import PruningPlan
from explorer.media import grid
from explorer.media.grid import Box
from explorer.methods import catalog
from explorer.methods.signals import Kept, Stage
from explorer.vlm.components import Vlm

HAND_PICKED = "picked"  # what such an answer has in place of a method


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


def answer_from_tokens(
    model: str | Vlm,
    image: Source,
    question: str,
    kept: Sequence[int],
    memory: ResultCache | None = None,
    renumber: bool = False,
) -> Answer:
    """Answer from the picked visual tokens alone; see `Answer`.

    renumber: count the positions of those that stay anew, as most methods do that prune before the
    language model; False leaves them where they were. Raises `BadPick`.
    """
    case = open_case(model, image, question, memory)
    return hand_picked(case, check_kept(list(kept), case.size.tokens), memory, renumber)


def shares(
    model: str | Vlm,
    image: Source,
    question: str,
    kept: Sequence[int],
    boxes: Sequence[Box],
    memory: ResultCache | None = None,
) -> list[float]:
    """Give the share of each box on the picture that lies under kept patches."""
    case = open_case(model, image, question, memory)
    kept = check_kept(list(kept), case.size.tokens)
    return [grid.share(case.look.grid, box, kept) for box in boxes]


def hand_picked(
    case: Case, kept: tuple[int, ...], memory: ResultCache | None = None, renumber: bool = False
) -> Answer:
    """Answer from a checked set; what was worked out before is remembered."""

    def make() -> Answer:
        compared = answers.full_run(case, memory)
        *_, last = answers.pruned(case, HAND_PICKED, len(kept), plan_of(kept, renumber), compared)
        return last

    key = ("picked", case.id, renumber, kept)
    return get_or_compute(memory, key, make, lambda _: answers.ANSWER_BYTES + 60 * len(kept))
