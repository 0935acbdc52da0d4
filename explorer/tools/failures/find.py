"""Find scenes or own pictures on which a method fails and the full model does not: a command.

Knows command lines and files; what a failure is, analyses/failures says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from explorer.analyses.failures import FIRST_SEED, QUESTIONS, RIGHT, Failure, find, judge, ranked
from explorer.analyses.failures.judging import check
from explorer.analyses.failures.own_pictures import (
    BadLine,
    OwnLine,
    lines_of_folder,
    opened,
    read_lines,
)
from explorer.cases.generation import FULL
from explorer.errors import VisitorError
from explorer.tools import distributed
from explorer.tools.distributed import Team, log, progress
from explorer.tools.distributed.models import share_cores
from explorer.vlm.catalog import DEFAULT

KEPT = Path("failures-so-far.jsonl")


# ---- what is looked for -------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """What is looked for. right: what counts as right, see `judge`."""

    method: str
    budget: int
    against: str = FULL
    model: str = DEFAULT
    right: str = "truth"

    def scene(self, seed: int) -> list[Failure]:
        """Look at one scene."""
        how = (self.against, self.model, self.right)
        return [hit for hit in find(self.method, self.budget, [seed], *how) if hit]

    def own_line(self, folder: Path, line: OwnLine) -> list[Failure] | BadLine:
        """Look at one question about a picture in a folder, or say why it can't be used."""
        [asked] = opened([line], folder)
        if isinstance(asked, BadLine):
            return asked
        how = (self.against, self.model, self.right)
        return judge([asked], self.method, self.budget, *how)


@dataclass(frozen=True)
class Looked:
    """One line of a log: what was found in one scene, by its seed, or for one own line."""

    search: Search
    item: str
    hits: tuple[Failure, ...]


def look(
    search: Search,
    work: Callable[[int | OwnLine], list[Failure] | BadLine],
    items: Iterable[int | OwnLine],
    team: Team,
    kept: Path | None = None,
) -> Iterator[list[Failure] | BadLine]:
    """Look at all items with a team; those first that a run which was stopped has looked at.

    kept: where what was found is written down until everything is done.
    """
    found = {}
    for told in log.read_lines(kept) if kept else ():
        if told["search"] == asdict(search):
            found[told["item"]] = [Failure(**hit) for hit in told["hits"]]
    missing = []
    for item in items:
        if str(item) in found:
            yield found[str(item)]
        else:
            missing.append(item)
    results = team.results(work, missing)
    for number, hits in progress.told(results, len(missing), "looked at", sys.stderr):
        if kept and not isinstance(hits, BadLine):
            log.append(kept, Looked(search, str(missing[number]), tuple(hits)))
        yield hits
    if kept:
        kept.unlink(missing_ok=True)


# ---- what is told -------------------------------------------------------------------------------


def publish(search: Search, hits: Sequence[Failure]) -> None:
    """Print failures, the surest first; texts of strangers can't command a terminal."""
    for hit in ranked(hits):
        where = hit.picture or f"seed {hit.seed}"
        text = (
            f"{where}  sure {hit.sure:.2f}  {hit.question}  "
            f"right: {hit.truth}  {search.method}: {hit.wrong}"
        )
        print("".join(letter if letter.isprintable() else "?" for letter in text))


def in_scenes(search: Search, seeds: Sequence[int], kept: Path | None, team: Team) -> None:
    """Print the failures in scenes."""
    hits = [hit for found in look(search, search.scene, seeds, team, kept) for hit in found]
    publish(search, hits)
    print(f"{len(hits)} failures in {len(seeds)} scenes, {QUESTIONS} questions each")


def in_own_pictures(
    search: Search,
    lines: Sequence[OwnLine],
    bad: Sequence[BadLine],
    folder: Path,
    kept: Path | None,
    team: Team,
) -> None:
    """Print the failures in own pictures, and which lines were left out."""
    found = list(look(search, partial(search.own_line, folder), lines, team, kept))
    bad = [*bad, *(each for each in found if isinstance(each, BadLine))]
    asked = [each for each in found if not isinstance(each, BadLine)]
    for line in sorted(bad, key=lambda line: line.number):
        print(f"skipped, {line}")
    hits = [hit for each in asked for hit in each]
    publish(search, hits)
    print(f"{len(hits)} failures in {len(asked)} questions, {len(bad)} skipped")


# ---- the command line ---------------------------------------------------------------------------


def own_lines(chosen: argparse.Namespace) -> tuple[list[OwnLine], list[BadLine], Path]:
    """Read the lines about own pictures, and where those lie: beside the file if not told.

    A folder alone is read by the one JSONL file in it, or every picture is asked the same.
    """
    data, folder = chosen.data, chosen.images
    if data is None and chosen.question is None:
        inside = sorted(folder.glob("*.jsonl"))
        if len(inside) != 1:
            raise ValueError(
                f"{folder} holds {len(inside)} JSONL files; name one with --data, or ask the same "
                "about every picture with --question."
            )
        [data] = inside
    if data is None:
        return lines_of_folder(folder, chosen.question, chosen.answer), [], folder
    return *read_lines(data.read_bytes()), folder or data.parent


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=main.__doc__)
    add = parser.add_argument
    add("--method", required=True, help="a method's key, such as visionzip")
    add("--budget", type=int, required=True, help="mean visual tokens kept")
    add("--against", default=FULL, help="another method, or full")
    add("--scenes", type=int, default=100)
    add("--first", type=int, default=FIRST_SEED, help="seed of the first scene")
    add("--right", choices=RIGHT, default="truth", help="what counts as right")
    add("--model", default=DEFAULT, help="a key of models.yaml")
    own = "own pictures: a JSON object per line, with picture, question and, if known, answer"
    add("--data", type=Path, metavar="FILE.jsonl", help=own)
    add("--images", type=Path, metavar="FOLDER", help="where own pictures lie")
    add("--question", help="asked about every picture of the folder")
    add("--answer", help="right for every picture of the folder")
    kept = (
        "where what was found waits until everything is done, so that a run that was stopped goes "
        f"on (default: {KEPT} under accelerate launch, else nowhere)"
    )
    add("--log", type=Path, metavar="FILE.jsonl", help=kept)
    return parser


def main() -> int | None:
    """Print the failures of a method, the surest first."""
    parser = _arguments()
    chosen = parser.parse_args()
    search = Search(chosen.method, chosen.budget, chosen.against, chosen.model, chosen.right)
    kept = chosen.log or (KEPT if distributed.launched() else None)
    try:
        check(search.method, search.against, search.right)
        if chosen.data or chosen.images:
            lead = partial(in_own_pictures, search, *own_lines(chosen), kept)
        else:
            seeds = range(chosen.first, chosen.first + chosen.scenes)
            lead = partial(in_scenes, search, seeds, kept)
    except (OSError, ValueError, VisitorError) as error:
        parser.error(str(error))
    try:
        return distributed.run(lead, share_cores)
    except VisitorError as error:
        parser.error(str(error))
