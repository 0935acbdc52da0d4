"""Recompute saved cases and say what differs: `python -m explorer replay FILES`."""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from explorer.analyses.sharing import case_file
from explorer.analyses.sharing.case_fields import CaseFile
from explorer.analyses.sharing.replay import CACHE_BYTES, ENOUGH, Difference, replay
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import prepare
from explorer.errors import BadCase, VisitorError
from explorer.media.image import Picture
from explorer.tools import distributed
from explorer.tools.distributed import Team, in_order, log, progress
from explorer.tools.distributed.models import register_models, suited
from explorer.vlm.catalog import CUSTOM_HELP, DEFAULT

KEPT = Path("replayed-so-far.jsonl")


def report_row(difference: Difference) -> str:
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


@dataclass(frozen=True)
class Replayed:
    """What became of a file: the lines that tell it, and how many of its runs changed.

    digest: of the file's bytes; unreadable: whether nothing could be recomputed.
    """

    file: str
    digest: str
    lines: tuple[str, ...]
    changed: int = 0
    unreadable: bool = False

    @classmethod
    def failed(cls, file: Path, error: Exception) -> Replayed:
        """Say why nothing was recomputed."""
        return cls(str(file), digest(file), (str(file), f"  {error}"), unreadable=True)

    @classmethod
    def of(cls, file: Path, found: Sequence[Difference]) -> Replayed:
        """Tell what differs."""
        lines = (str(file), *map(report_row, found))
        return cls(str(file), digest(file), lines, sum(bool(each.change) for each in found))


def digest(file: Path) -> str:
    """Name what a file holds; empty where it can't be read."""
    try:
        with file.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()[:16]
    except OSError:
        return ""


@dataclass(frozen=True)
class _Opened:
    """A file that holds a case."""

    file: Path
    case: CaseFile
    picture: Picture


def _open(file: Path) -> _Opened | Replayed:
    try:
        if file.stat().st_size > case_file.MAX_BYTES:
            raise BadCase("This file is too large for a case.")
        case = case_file.load(file.read_bytes())
        return _Opened(file, case, case.opened())
    except (OSError, VisitorError) as error:
        return Replayed.failed(file, error)


def _prepare(group: Sequence[_Opened], cache: ResultCache) -> None:
    """Answer what the cases of one model ask, side by side, into the cache."""
    with suppress(VisitorError):  # whose fault it is will be told with its file
        requests = [
            (
                CaseRequest.make(one.case.model.key, one.picture, one.case.question),
                [(run.method, run.budget) for run in one.case.runs],
            )
            for one in group
        ]
        prepare(requests, cache)


def replay_some(paths: Sequence[Path]) -> list[Replayed]:
    """Recompute a few files, those of one model together."""
    opened, cache = [_open(file) for file in paths], ResultCache(CACHE_BYTES)
    models: dict[str, list[_Opened]] = {}
    for one in opened:
        if isinstance(one, _Opened):
            models.setdefault(one.case.model.key, []).append(one)
    for group in models.values():
        _prepare(group, cache)
    return [_replayed(one, cache) if isinstance(one, _Opened) else one for one in opened]


def _replayed(one: _Opened, cache: ResultCache) -> Replayed:
    try:
        return Replayed.of(one.file, list(replay(one.case, one.picture, cache)))
    except VisitorError as error:
        return Replayed.failed(one.file, error)


def replayed(paths: Sequence[Path], team: Team, kept: Path | None = None) -> Iterator[Replayed]:
    """Recompute files by a team; those first that a run which was stopped has recomputed.

    kept: where what was found is written down until everything is done.
    """
    found = [Replayed(**told) for told in log.read_lines(kept)] if kept else []
    known = {(one.file, one.digest): one for one in found}
    there = [known.get((str(file), digest(file))) if known else None for file in paths]
    yield from filter(None, there)
    missing = [file for file, one in zip(paths, there, strict=True) if one is None]
    parts = [missing[first : first + ENOUGH] for first in range(0, len(missing), ENOUGH)]
    results = team.results(replay_some, parts)
    things = f"groups of {ENOUGH} files"
    for some in in_order(progress.told(results, len(parts), things, sys.stderr)):
        for one in some:
            if kept:
                log.append(kept, one)
            yield one
    if kept:
        kept.unlink(missing_ok=True)


def worth(paths: Sequence[Path]) -> int:
    """Tell how many processes are worth their start for these files."""
    try:
        model = case_file.load(paths[0].read_bytes()).model.key if paths else DEFAULT
        return max(1, min(suited(model), len(paths) // ENOUGH))
    except (OSError, VisitorError):
        return 1


def main() -> int | None:
    """Recompute the cases and print a table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("cases", nargs="+", type=Path, help="case files, or folders of them")
    parser.add_argument(
        "--model", action="append", default=[], help=f"that isn't listed: {CUSTOM_HELP}"
    )
    parser.add_argument("--at-once", type=int, help="processes (default: what suits the model)")
    kept = (
        "where what was found waits until everything is done, so that a run that was stopped goes "
        f"on (default: {KEPT} under accelerate launch, else nowhere)"
    )
    parser.add_argument("--log", type=Path, metavar="FILE.jsonl", help=kept)
    chosen = parser.parse_args()
    paths = list(files(chosen.cases))
    kept = chosen.log or (KEPT if distributed.launched() else None)
    prepare = partial(register_models, chosen.model)
    try:
        at_once = chosen.at_once or (1 if distributed.launched() else worth(paths))
        return distributed.run(partial(lead, paths, kept), prepare, at_once)
    except VisitorError as error:
        parser.error(str(error))


def lead(paths: Sequence[Path], kept: Path | None, team: Team) -> int:
    """Recompute cases with a team and print a table."""
    changed, unreadable, began = 0, 0, time.perf_counter()
    for one in replayed(paths, team, kept):
        print("\n".join(one.lines))
        unreadable += one.unreadable
        changed += one.changed
    count, seconds = len(paths) - unreadable, time.perf_counter() - began
    print(
        f"{count} cases, {changed} runs changed, {unreadable} files could not be replayed, "
        f"{count / seconds:.1f} cases a second"
    )
    return 2 if unreadable else int(bool(changed))
