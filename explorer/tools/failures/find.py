"""Find scenes on which a method fails and the full model does not: a command.

Knows command lines and files; what a failure is, analyses/failures.py says.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from explorer.analyses.failures import FIRST_SEED, QUESTIONS, Failure, find, ranked
from explorer.cases.generation import FULL
from explorer.tools.failures.shards import Shard, shard

WHOLE = Shard()


# ---- the command line ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """What is looked for, and in which scenes: `scenes` of them from seed `first` on."""

    method: str
    budget: int
    against: str = FULL
    scenes: int = 100
    first: int = FIRST_SEED

    def hits(self, share: Shard = WHOLE) -> list[Failure]:
        """Look at the scenes of a share; gives its failures in the order of the seeds."""
        seeds = share.take(range(self.first, self.first + self.scenes))
        return [hit for hit in find(self.method, self.budget, seeds, self.against) if hit]


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
    for hit in ranked(hits):
        print(
            f"seed {hit.seed}  sure {hit.sure:.2f}  {hit.question}  "
            f"right: {hit.truth}  {search.method}: {hit.wrong}"
        )
    print(f"{len(hits)} failures in {search.scenes} scenes, {QUESTIONS} questions each")


def main() -> None:
    """Print the failures of a method, the surest first."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--method", help="a method's key, such as visionzip")
    parser.add_argument("--budget", type=int, help="mean visual tokens kept")
    parser.add_argument("--against", default=FULL, help="another method, or full")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first scene")
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
    search = Search(chosen.method, chosen.budget, chosen.against, chosen.scenes, chosen.first)
    hits = search.hits(chosen.shard or WHOLE)
    if chosen.shard:
        chosen.out.mkdir(parents=True, exist_ok=True)
        write_share(search, chosen.shard, hits, chosen.out / f"failures-{chosen.shard}.json")
        print(f"{len(hits)} failures in the scenes of share {chosen.shard}")
    else:
        publish(search, hits)
