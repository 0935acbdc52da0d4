"""Recompute saved cases and tell what differs: `python -m explorer.replay case.json ...`

Ends with 1 if an answer or a kept set changed, with 2 if a file is no case. Numbers may differ in
the last digits from machine to machine; they are shown, and do not count as a change.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from explorer import casefile, given, jobs, zoo
from explorer.casefile import CaseFile, StoredRun
from explorer.errors import BadCase, VisitorError
from explorer.memory import Memory
from explorer.picture import Picture

MEMORY_BYTES = 64_000_000
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


def offer(models: Sequence[str], among: int = 1) -> None:
    """Let cases be of these models, too; see given.py. among: processes that share the cores."""
    zoo.share_cores(among)
    for source in models:
        given.add(source)


Outcome = tuple[Path, list[Difference], str]
"""A file and what was found, or a sentence that says why nothing was."""


@dataclass(frozen=True)
class _Opened:
    """A file that holds a case."""

    file: Path
    case: CaseFile
    picture: Picture


def _open(file: Path) -> _Opened | Outcome:
    try:
        if file.stat().st_size > casefile.MAX_BYTES:
            raise BadCase("This file is too large for a case.")
        case = casefile.load(file.read_bytes())
        return _Opened(file, case, case.opened())
    except (OSError, VisitorError) as error:
        return file, [], str(error)


def _prepare(group: Sequence[_Opened], memory: Memory) -> None:
    """Answer what the cases of one model ask, side by side, into the memory."""
    asked = [
        (one.picture, one.case.question, [(run.method, run.budget) for run in one.case.runs])
        for one in group
    ]
    with suppress(VisitorError):  # whose fault it is will be told with its file
        jobs.prepare(group[0].case.model.key, asked, memory)


def some_outcomes(paths: Sequence[Path]) -> list[Outcome]:
    """Recompute a few files, those of one model together."""
    opened, memory = [_open(file) for file in paths], Memory(MEMORY_BYTES)
    models: dict[str, list[_Opened]] = {}
    for one in opened:
        if isinstance(one, _Opened):
            models.setdefault(one.case.model.key, []).append(one)
    for group in models.values():
        _prepare(group, memory)
    return [_outcome(one, memory) if isinstance(one, _Opened) else one for one in opened]


def _outcome(one: _Opened, memory: Memory) -> Outcome:
    try:
        return one.file, list(replay(one.case, one.picture, memory)), ""
    except VisitorError as error:
        return one.file, [], str(error)


def outcomes(paths: list[Path], at_once: int, models: Sequence[str] = ()) -> Iterator[Outcome]:
    """Recompute files in their order, several at once, in processes of their own if need be."""
    parts = [paths[first : first + ENOUGH] for first in range(0, len(paths), ENOUGH)]
    if at_once == 1:
        for part in parts:
            yield from some_outcomes(part)
        return
    # A fork has torch already; it is safe as nothing has run in this process yet.
    ways = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in ways else "spawn")
    with ProcessPoolExecutor(at_once, context, offer, (models, at_once)) as pool:
        for found in pool.map(some_outcomes, parts):
            yield from found


def worth(paths: list[Path]) -> int:
    """Tell how many processes are worth their start: a core each, where a model uses just one."""
    try:
        model = casefile.load(paths[0].read_bytes()).model.key if paths else ""
        alone = zoo.entry(model).threads == 1
    except (OSError, VisitorError):
        return 1
    return max(1, min(os.cpu_count() or 1, len(paths) // ENOUGH)) if alone else 1


def main() -> int:
    """Recompute the cases and print a table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("cases", nargs="+", type=Path, help="case files, or folders of them")
    parser.add_argument(
        "--model", action="append", default=[], help=f"that isn't listed: {given.HELP}"
    )
    parser.add_argument("--at-once", type=int, help="processes (default: what suits the model)")
    chosen = parser.parse_args()
    offer(chosen.model)
    paths, began = list(files(chosen.cases)), time.perf_counter()
    changed = unreadable = 0
    for file, found, error in outcomes(paths, chosen.at_once or worth(paths), chosen.model):
        print(f"{file}\n  {error}" if error else file)
        unreadable += bool(error)
        changed += sum(bool(difference.change) for difference in found)
        for difference in found:
            print(row(difference))
    count, seconds = len(paths) - unreadable, time.perf_counter() - began
    print(
        f"{count} cases, {changed} runs changed, {unreadable} files could not be replayed, "
        f"{count / seconds:.1f} cases a second"
    )
    return 2 if unreadable else int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
