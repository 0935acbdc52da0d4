"""Say why the answer of a saved case fails after pruning: `python -m explorer diagnose case.json`.

Knows command lines and files; what is asked and decided, analyses/diagnosis says.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from explorer import analyses
from explorer.analyses.diagnosis.evidence import things_of
from explorer.analyses.diagnosis.records import Diagnosis, StepResult
from explorer.analyses.sharing import case_file, report
from explorer.analyses.sharing.case_fields import CaseFile
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.errors import BadCase, VisitorError
from explorer.media.image import Picture, open_picture
from explorer.pico.data import scenes
from explorer.tools.cases.replay import files
from explorer.tools.distributed.models import register_models
from explorer.vlm.catalog import CUSTOM_HELP

CACHE_BYTES = 256_000_000


def printable(text: str) -> str:
    """Write a text so that a stranger's can't command a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def lines(step: StepResult) -> Iterator[str]:
    """Write a step: its question, what it found, and the runs that it compared."""
    says = {None: "", True: " yes.", False: " no."}[step.holds] if step.asked else ""
    yield f"  {step.question}{says} {step.finding}"
    for each in step.runs if len(step.runs) > 1 else ():
        right = {None: "", True: " (right)", False: " (not right)"}[each.right]
        yield f"    {each.run}: {each.text or 'nothing'}{right}"
    if step.words:
        told = ", ".join(f"{word.text} {word.loss:+.2f}" for word in step.words)
        yield f"    nats that each word of the full answer loses: {told}"


def seed_of(case: CaseFile, picture: Picture) -> int | None:
    """Give the seed of the scene that a case shows; a picture is believed, and not its file."""
    if case.seed is None:
        return None
    drawn = open_picture(scenes.make(case.seed).image)
    return case.seed if drawn.digest == picture.digest else None


def diagnosed(
    case: CaseFile, method: str | None = None, budget: int | None = None, out: Path | None = None
) -> Iterator[str]:
    """Tell of each step as it ends, and at last the verdict. Raises `VisitorError`.

    method, budget: of the run in question; None for those of the case's first run. out: where to
    write the report of the case with its diagnosis.
    """
    first = case.runs[0] if case.runs else None
    method, budget = method or (first and first.method), budget or (first and first.budget)
    if method is None or budget is None:
        raise BadCase("This case has no pruned answer; say which with --method and --budget.")
    picture, cache = case.opened(), ResultCache(CACHE_BYTES)
    request = CaseRequest.make(case.model.key, picture, case.question)
    seed = seed_of(case, picture)
    yield f"  {case.question} {method} at {budget} tokens"
    for event in analyses.diagnose(
        request, method, budget, case.truth, things_of(seed), cache=cache
    ):
        if isinstance(event, StepResult):
            yield from lines(event)
        elif isinstance(event, Diagnosis):
            found = event
    yield f"  {found.sentence}"
    if out is not None:
        out.write_text(_report(request, found, seed, cache), encoding="utf-8")
        yield f"  {out}"


def _report(request: CaseRequest, found: Diagnosis, seed: int | None, cache: ResultCache) -> str:
    full = analyses.answer(request, cache=cache)
    run = analyses.answer(request, found.method, found.budget, cache=cache)
    text = case_file.save(request, full, [run], found.truth, seed, found)
    grid = open_case(request, cache).vision.grid
    return report.page(case_file.load(text), grid, request.picture.image)


def main() -> int:
    """Say why the answers of saved cases fail after pruning; 2 if a file is no such case."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("cases", nargs="+", type=Path, help="case files, or folders of them")
    parser.add_argument("--method", help="instead of that of the case's first pruned answer")
    parser.add_argument("--budget", type=int, help="instead of that of the first pruned answer")
    parser.add_argument(
        "--model", action="append", default=[], help=f"that isn't listed: {CUSTOM_HELP}"
    )
    parser.add_argument("--report", type=Path, help="folder for a page about each case")
    chosen = parser.parse_args()
    register_models(chosen.model)
    if chosen.report:
        chosen.report.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for file in files(chosen.cases):
        print(printable(str(file)))
        out = chosen.report and chosen.report / f"{file.stem}.html"
        try:
            if file.stat().st_size > case_file.MAX_BYTES:
                raise BadCase("This file is too large for a case.")
            case = case_file.load(file.read_bytes())
            for line in diagnosed(case, chosen.method, chosen.budget, out):
                print(printable(line), flush=True)
        except (OSError, VisitorError) as error:
            print(f"  {error}")
            wrong += 1
    return 2 if wrong else 0
