"""Recompute saved cases and tell what differs: `python -m explorer.replay case.json ...`

Ends with 1 if an answer or a kept set changed, with 2 if a file is no case. Numbers may differ in
the last digits from machine to machine; they are shown, and do not count as a change.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from explorer import casefile, given, jobs
from explorer.casefile import CaseFile, StoredRun
from explorer.errors import BadCase, VisitorError
from explorer.memory import Memory
from explorer.picture import Picture

MEMORY_BYTES = 64_000_000
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
    case: CaseFile, picture: Picture | None = None, memory: Memory | None = None
) -> Iterator[Difference]:
    """Recompute every run of a case; `VisitorError` if picture or model are not to be had.

    picture: the opened one of the case, where somebody has opened it already.
    """
    picture, memory = picture or case.opened(), memory or Memory(MEMORY_BYTES)
    for run in [case.full, *case.runs]:
        try:
            answer = jobs.answer(
                case.model.key, picture, case.question, run.method, run.budget, memory
            )
        except VisitorError as error:
            if run is case.full:
                raise
            yield Difference(run, None, "not run", str(error))
            continue
        again = casefile.stored(answer)
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


def verdict(found: Sequence[Difference]) -> str:
    """Say in a sentence or two how the answers of today compare with the stored ones."""
    counts = Counter(difference.change for difference in found)
    of = f"of {len(found)} answers"
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
    shift = max(difference.shift for difference in found)
    if shift > CLOSE:
        return f"Recomputed: the same answers, but probabilities differ by up to {shift:.3f}."
    return "Recomputed: the same answers from the same patches, probabilities equal."


def row(difference: Difference) -> str:
    """Write one line of the table; texts of strangers can't command a terminal."""
    run, again = difference.stored, difference.again
    then, now = ("" if r is None or r.p_full is None else f"{r.p_full:.4f}" for r in (run, again))
    text = run.text if again is None or again.text == run.text else f"{run.text} -> {again.text}"
    what = difference.change or "same"
    line = f"  {what:9}{run.method:20.20}{run.budget:6} {then:>8} {now:>8}  {text:.80}"
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def files(paths: list[Path]) -> Iterator[Path]:
    """List the cases that are named, or that are in the folders named."""
    for path in paths:
        yield from sorted(path.glob("*.json")) if path.is_dir() else [path]


def main() -> int:
    """Recompute the cases and print a table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("cases", nargs="+", type=Path, help="case files, or folders of them")
    parser.add_argument(
        "--model", action="append", default=[], help=f"that isn't listed: {given.HELP}"
    )
    chosen = parser.parse_args()
    for source in chosen.model:
        given.add(source)
    changed = unreadable = count = 0
    for file in files(chosen.cases):
        print(file)
        try:
            if file.stat().st_size > casefile.MAX_BYTES:
                raise BadCase("This file is too large for a case.")
            found = list(replay(casefile.load(file.read_bytes())))
        except (OSError, VisitorError) as error:
            print(f"  {error}")
            unreadable += 1
            continue
        count += 1
        changed += sum(bool(difference.change) for difference in found)
        print("\n".join(map(row, found)))
    print(f"{count} cases, {changed} runs changed, {unreadable} files could not be replayed")
    return 2 if unreadable else int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
