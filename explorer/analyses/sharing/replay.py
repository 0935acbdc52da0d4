"""Recompute saved cases and tell what differs: `python -m explorer replay case.json ...`

Ends with 1 if an answer or a kept set changed, with 2 if a file is no case. Numbers may differ in
the last digits from machine to machine; they are shown, and do not count as a change.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from explorer.analyses.sharing import case_file
from explorer.analyses.sharing.case_fields import CaseFile, StoredRun
from explorer.cases.answers import answer
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.errors import VisitorError
from explorer.media.image import Picture

CACHE_BYTES = 64_000_000
ENOUGH = 8  # files that are recomputed together, and for which a process is worth its start
CLOSE = 1e-3  # probabilities this near to each other are called equal


@dataclass(frozen=True)
class Difference:
    """One stored run beside the same run of today. again: None where it can't be run here.

    change: "", "answer", "tokens" (other patches were kept) or "not run"; says: why it wasn't.
    """

    stored: StoredRun
    again: StoredRun | None
    change: str
    says: str = ""

    @property
    def shift(self) -> float:
        """Give the largest change of a probability; infinite where there is nothing to compare."""
        if self.again is None or self.change == "answer":
            return math.inf
        return max(map(_apart, _probabilities(self.stored), _probabilities(self.again)), default=0)


def replay(
    case: CaseFile, picture: Picture | None = None, cache: ResultCache | None = None
) -> Iterator[Difference]:
    """Recompute every run of a case; `VisitorError` if picture or model are not to be had.

    picture: the opened one of the case, where somebody has opened it already.
    """
    picture, cache = picture or case.opened(), cache or ResultCache(CACHE_BYTES)
    request = CaseRequest.make(case.model.key, picture, case.question)
    for run in [case.full, *case.runs]:
        try:
            again = case_file.stored(answer(request, run.method, run.budget, cache=cache))
        except VisitorError as error:
            if run is case.full:
                raise
            yield Difference(run, None, "not run", str(error))
            continue
        yield Difference(run, again, _change(run, again))


def _change(run: StoredRun, again: StoredRun) -> str:
    if run.text != again.text:
        return "answer"
    return "tokens" if run.stages and run.stages != again.stages else ""


def _probabilities(run: StoredRun) -> list[float | None]:
    return [run.p_full, *(token.probability for token in run.tokens)]


def _apart(then: float | None, now: float | None) -> float:
    if then is None or now is None:
        return 0.0 if then is now else math.inf
    return abs(then - now)


def verdict(differences: Sequence[Difference]) -> str:
    """Say in a sentence or two how the answers of today compare with the stored ones."""
    counts = Counter(difference.change for difference in differences)
    of = f"of {len(differences)} answers"
    parts = [
        f"{counts[change]} {of} {words}"
        for change, words in (
            ("answer", "changed"),
            ("tokens", "came from other patches than stored"),
            ("not run", "could not be computed here"),
        )
        if counts[change]
    ]
    if parts:
        return f"Recomputed: {', '.join(parts)}."
    shift = max(difference.shift for difference in differences)
    if shift > CLOSE:
        return f"Recomputed: the same answers, but probabilities differ by up to {shift:.3f}."
    return "Recomputed: the same answers from the same patches, probabilities equal."
