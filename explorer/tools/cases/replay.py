"""Recompute saved cases and say what differs: `python -m explorer replay FILES`."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from explorer.analyses.sharing import case_file
from explorer.analyses.sharing.case_fields import CaseFile
from explorer.analyses.sharing.replay import CACHE_BYTES, ENOUGH, Difference, replay
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import prepare
from explorer.errors import BadCase, VisitorError
from explorer.media.image import Picture
from explorer.vlm.catalog import CUSTOM_HELP
from explorer.vlm.devices import LoadSettings
from explorer.vlm.loader import default_loader


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


def register_models(models: Sequence[str], among: int = 1) -> None:
    """Let cases be of these models, too; see catalog.py. among: processes that share the cores."""
    default_loader().configure(LoadSettings(at_once=among))
    for source in models:
        default_loader().catalog.register(source)


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
        if file.stat().st_size > case_file.MAX_BYTES:
            raise BadCase("This file is too large for a case.")
        case = case_file.load(file.read_bytes())
        return _Opened(file, case, case.opened())
    except (OSError, VisitorError) as error:
        return file, [], str(error)


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


def some_outcomes(paths: Sequence[Path]) -> list[Outcome]:
    """Recompute a few files, those of one model together."""
    opened, cache = [_open(file) for file in paths], ResultCache(CACHE_BYTES)
    models: dict[str, list[_Opened]] = {}
    for one in opened:
        if isinstance(one, _Opened):
            models.setdefault(one.case.model.key, []).append(one)
    for group in models.values():
        _prepare(group, cache)
    return [_outcome(one, cache) if isinstance(one, _Opened) else one for one in opened]


def _outcome(one: _Opened, cache: ResultCache) -> Outcome:
    try:
        return one.file, list(replay(one.case, one.picture, cache)), ""
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
    with ProcessPoolExecutor(at_once, context, register_models, (models, at_once)) as pool:
        for found in pool.map(some_outcomes, parts):
            yield from found


def worth(paths: list[Path]) -> int:
    """Tell how many processes are worth their start: a core each, where a model uses just one."""
    try:
        model = case_file.load(paths[0].read_bytes()).model.key if paths else ""
        alone = default_loader().catalog.entry(model).threads == 1
    except (OSError, VisitorError):
        return 1
    return max(1, min(os.cpu_count() or 1, len(paths) // ENOUGH)) if alone else 1


def main() -> int:
    """Recompute the cases and print a table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("cases", nargs="+", type=Path, help="case files, or folders of them")
    parser.add_argument(
        "--model", action="append", default=[], help=f"that isn't listed: {CUSTOM_HELP}"
    )
    parser.add_argument("--at-once", type=int, help="processes (default: what suits the model)")
    chosen = parser.parse_args()
    register_models(chosen.model)
    paths, began = list(files(chosen.cases)), time.perf_counter()
    changed = unreadable = 0
    for file, found, error in outcomes(paths, chosen.at_once or worth(paths), chosen.model):
        print(f"{file}\n  {error}" if error else file)
        unreadable += bool(error)
        changed += sum(bool(difference.change) for difference in found)
        for difference in found:
            print(report_row(difference))
    count, seconds = len(paths) - unreadable, time.perf_counter() - began
    print(
        f"{count} cases, {changed} runs changed, {unreadable} files could not be replayed, "
        f"{count / seconds:.1f} cases a second"
    )
    return 2 if unreadable else int(bool(changed))
