"""Find scenes or own pictures on which a method fails and the full model does not: a command.

Knows command lines and files; what a failure is, analyses/failures says.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from explorer.analyses.failures import FIRST_SEED, QUESTIONS, RIGHT, Failure, find, judge, ranked
from explorer.analyses.failures.own_pictures import (
    BadLine,
    OwnLine,
    lines_of_folder,
    opened,
    read_lines,
)
from explorer.cases.generation import FULL
from explorer.errors import VisitorError
from explorer.tools.failures.shards import Shard, shard
from explorer.vlm.catalog import DEFAULT

WHOLE = Shard()


# ---- the command line ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """What is looked for, and in which scenes: `scenes` of them from seed `first` on.

    right: what counts as right, see `judge`.
    """

    method: str
    budget: int
    against: str = FULL
    scenes: int = 100
    first: int = FIRST_SEED
    right: str = "truth"
    model: str = DEFAULT

    @property
    def settings(self) -> tuple[str, str, str]:
        """What `find` and `judge` take behind the questions."""
        return self.against, self.model, self.right

    def hits(self, share: Shard = WHOLE) -> list[Failure]:
        """Look at the scenes of a share; gives its failures in the order of the seeds."""
        seeds = share.take(range(self.first, self.first + self.scenes))
        found = find(self.method, self.budget, seeds, *self.settings)
        return [hit for hit in found if hit]

    def own_hits(
        self, lines: Sequence[OwnLine], folder: Path
    ) -> Iterator[Failure | BadLine | None]:
        """Look at own pictures; gives failures, lines that can't be used, None for one in order."""
        for asked in opened(lines, folder):
            if isinstance(asked, BadLine):
                yield asked
            else:
                yield from judge([asked], self.method, self.budget, *self.settings)
                yield None


def write_share(search: Search, share: Shard, hits: Sequence[Failure], file: Path) -> None:
    """Write what a share has found as JSON, for `merged`."""
    told = {"search": asdict(search), "share": asdict(share), "hits": [asdict(hit) for hit in hits]}
    file.write_text(json.dumps(told, indent=1), encoding="utf-8")


def merged(files: Sequence[Path]) -> tuple[Search, list[Failure]]:
    """Put the files of all shares together; ValueError unless they are the shares of one search."""
    told = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    searches = {Search(**one["search"]) for one in told}
    shares = sorted((one["share"]["number"], one["share"]["of"]) for one in told)
    if len(searches) != 1:
        raise ValueError("These files are of different searches.")
    if shares != [(number, len(told)) for number in range(1, len(told) + 1)]:
        given = ", ".join(f"{number}/{of}" for number, of in shares)
        raise ValueError(f"These are not all shares of the search, once each: {given}.")
    return searches.pop(), [Failure(**hit) for one in told for hit in one["hits"]]


def publish(search: Search, hits: Sequence[Failure]) -> None:
    """Print the failures, the surest first."""
    _print_ranked(search, hits)
    print(f"{len(hits)} failures in {search.scenes} scenes, {QUESTIONS} questions each")


def _print_ranked(search: Search, hits: Sequence[Failure]) -> None:
    for hit in ranked(hits):
        where = hit.picture or f"seed {hit.seed}"
        text = (
            f"{where}  sure {hit.sure:.2f}  {hit.question}  "
            f"right: {hit.truth}  {search.method}: {hit.wrong}"
        )
        print("".join(letter if letter.isprintable() else "?" for letter in text))


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


def publish_own(search: Search, chosen: argparse.Namespace) -> None:
    """Print the failures in own pictures, and which lines were left out."""
    lines, bad, folder = own_lines(chosen)
    hits, looked = [], 0
    for found in search.own_hits(lines, folder):
        if isinstance(found, Failure):
            hits.append(found)
        elif isinstance(found, BadLine):
            bad.append(found)
        else:
            looked += 1
    for line in sorted(bad, key=lambda line: line.number):
        print(f"skipped, {line}")
    _print_ranked(search, hits)
    print(f"{len(hits)} failures in {looked} questions, {len(bad)} skipped")


def main() -> None:
    """Print the failures of a method, the surest first."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--method", help="a method's key, such as visionzip")
    parser.add_argument("--budget", type=int, help="mean visual tokens kept")
    parser.add_argument("--against", default=FULL, help="another method, or full")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first scene")
    parser.add_argument("--right", choices=RIGHT, default="truth", help="what counts as right")
    parser.add_argument("--model", default=DEFAULT, help="a key of models.yaml")
    own = "own pictures: a JSON object per line, with picture, question and, if known, answer"
    parser.add_argument("--data", type=Path, metavar="FILE.jsonl", help=own)
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="where own pictures lie")
    parser.add_argument("--question", help="asked about every picture of the folder")
    parser.add_argument("--answer", help="right for every picture of the folder")
    parser.add_argument("--shard", type=shard, help="do a share, such as 2/4, and write its hits")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the hits of a share")
    parser.add_argument("--merge", type=Path, nargs="+", help="hits that all shares have written")
    chosen = parser.parse_args()
    if chosen.merge:
        try:
            publish(*merged(chosen.merge))
        except (KeyError, TypeError):
            parser.error("--merge: these are no files that shares have written")
        except (OSError, ValueError) as error:
            parser.error(f"--merge: {error}")
        return
    if chosen.method is None or chosen.budget is None:
        parser.error("--method and --budget say what to look for")
    scenes = (chosen.scenes, chosen.first)
    what = (chosen.method, chosen.budget, chosen.against)
    search = Search(*what, *scenes, chosen.right, chosen.model)
    if chosen.data or chosen.images:
        if chosen.shard:
            parser.error("--shard is for scenes; cut the file of own pictures instead")
        try:
            publish_own(search, chosen)
        except (OSError, ValueError, VisitorError) as error:
            parser.error(str(error))
        return
    hits = search.hits(chosen.shard or WHOLE)
    if chosen.shard:
        chosen.out.mkdir(parents=True, exist_ok=True)
        write_share(search, chosen.shard, hits, chosen.out / f"failures-{chosen.shard}.json")
        print(f"{len(hits)} failures in the scenes of share {chosen.shard}")
    else:
        publish(search, hits)
