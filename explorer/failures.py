"""Find scenes on which a method fails and the full model does not.

`python -m explorer.failures --method fastv --budget 64 [--against visionzip] [--scenes 100]`.
A hit is a question about a scene whose right answer is known: the method's answer is wrong, that of
the full model (or of the other method at the same budget) is right. Ranked by how sure the one that
is right was. Seeds make every hit repeatable. With `--shard 2/4` a machine looks at its share of
the scenes and writes what it found; `--merge` prints what all have found, as one would have. Knows
scenes and use cases; not pages.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from explorer import jobs, methods
from explorer.fidelity import agrees
from explorer.memory import Memory
from explorer.pico import scenes
from explorer.pico.questions import Question, sample
from explorer.picture import Picture, open_picture
from explorer.results import Answer
from explorer.shards import Shard, shard

FIRST_SEED = 3_000_000  # the page draws its scenes below this
QUESTIONS = 3  # per scene
MEMORY_BYTES = 64_000_000
WHOLE = Shard()


@dataclass(frozen=True)
class Failure:
    """One question about one scene. sure: the probability that the right one gave its answer.

    wrong: what the method said; drop: what it lost of the full answer, nats per token.
    """

    seed: int
    question: str
    kind: str
    truth: str
    wrong: str
    sure: float
    drop: float


def find(
    method: str,
    budget: int,
    seeds: Iterable[int],
    against: str = jobs.FULL,
    model: str = "pico",
) -> Iterator[Failure | None]:
    """Look at the scenes one by one; gives each failure, and None for each scene that is done.

    Raises `VisitorError` if a method is unknown or the budget out of its reach.
    """
    methods.resolve(method)
    if against != jobs.FULL:
        methods.resolve(against)
    for seed in seeds:
        scene, memory = scenes.make(seed), Memory(MEMORY_BYTES)
        picture = open_picture(scene.image)
        asked = sample(scene, random.Random(f"failures {seed}"), QUESTIONS)
        said = _answers(model, picture, asked, against, budget, memory)
        right = [pair for pair in zip(asked, said, strict=True) if _right(*pair)]
        asked = [question for question, _ in right]
        said = _answers(model, picture, asked, method, budget, memory)
        for (question, surely), pruned in zip(right, said, strict=True):
            if not _right(question, pruned):
                yield _failure(seed, question, surely, pruned)
        yield None


def _answers(
    model: str,
    picture: Picture,
    asked: Sequence[Question],
    method: str,
    budget: int,
    memory: Memory,
) -> list[Answer]:
    wishes = [] if method == jobs.FULL else [(method, budget)]
    jobs.prepare(model, [(picture, question.text, wishes) for question in asked], memory)
    return [jobs.answer(model, picture, q.text, method, budget, memory) for q in asked]


def _right(question: Question, answer: Answer) -> bool:
    return agrees(answer.text, question.answer)


def _failure(seed: int, asked: Question, right: Answer, pruned: Answer) -> Failure:
    return Failure(
        seed=seed,
        question=asked.text,
        kind=asked.kind,
        truth=asked.answer,
        wrong=pruned.text,
        sure=math.prod(token.probability for token in right.tokens),
        drop=float(pruned.drop),
    )


def ranked(found: Sequence[Failure]) -> list[Failure]:
    """Put the ones first of which the right model was most sure."""
    return sorted(found, key=lambda failure: (-failure.sure, failure.seed, failure.question))


# ---- the command line ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """What is looked for, and in which scenes: `scenes` of them from seed `first` on."""

    method: str
    budget: int
    against: str = jobs.FULL
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
    parser.add_argument("--against", default=jobs.FULL, help="another method, or full")
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


if __name__ == "__main__":
    main()
