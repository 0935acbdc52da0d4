"""The verdict of a diagnosis: one of a fixed set, and which findings lead to it.

Pure: findings in, a verdict out. Knows no model, no picture and no words of a case.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a diagnosis can end in."""

    NOTHING_BROKE = "nothing broke"
    MODEL_WRONG = "the model was wrong anyway"
    NOT_LOOKING = "it answers without looking"
    POSITIONS = "positions shifted"
    MERGED = "merging blurred the evidence"
    LAYERS = "what matters is where tokens leave"
    EVIDENCE = "the evidence was dropped"
    UNEXPLAINED = "not explained"


@dataclass(frozen=True)
class Findings:
    """What the steps have found; None where a question was not asked or makes no sense.

    "Right" is measured by the right answer, or by the full answer where nobody knows that one.
    full: is the full answer right; pruned: is the method's. other_positions: is it right from the
    same kept tokens, their positions counted in the other way; alone: from the kept patches alone,
    nothing merged, all others dropped before the language model; merges: whether the method folds
    tokens into others; blind: is it right from no visual token at all; restored: did the return of
    a few dropped patches give the right answer.
    """

    full: bool
    pruned: bool
    merges: bool = False
    other_positions: bool | None = None
    alone: bool | None = None
    blind: bool | None = None
    restored: bool | None = None


def decide(found: Findings) -> Verdict:
    """Choose the verdict: what one changed thing explains comes before what needs a search.

    1. A wrong full answer is not pruning's fault. 2. A right pruned answer is not broken, but
    proves little if it comes without a picture, too. 3. Same tokens, other positions: right; so it
    was positions. 4. Same patches, unmerged or dropped elsewhere: right; so it was merging or the
    layer. 5. No patch is needed for the right answer: what is kept misleads. 6. A few patches
    back: right.
    """
    if not found.full:
        return Verdict.MODEL_WRONG
    if found.pruned:
        return Verdict.NOT_LOOKING if found.blind else Verdict.NOTHING_BROKE
    if found.other_positions:
        return Verdict.POSITIONS
    if found.alone:
        return Verdict.MERGED if found.merges else Verdict.LAYERS
    if found.blind:
        return Verdict.NOT_LOOKING
    return Verdict.EVIDENCE if found.restored else Verdict.UNEXPLAINED
