"""Does pruning work on pico? Every method at every budget on new scenes: a table to re-run.

`python -m explorer leaderboard --scenes 200` asks about scenes whose answers are known and writes
assets/leaderboard: one row per method and budget, as CSV and as a plotly figure. Answers come from
the functions that the page uses: side by side for speed, and in every tenth scene one by one, which
gives the times. A method is measured by the random that counts positions as it does and drops at
the same layers; every random draws other tokens from scene to scene. With `--shard 2/4` a machine
does its share and writes its single answers; `--merge` makes the table from the files of all.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

from explorer.cases.answers import answer as answer_case
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many
from explorer.errors import BadBudget, MethodUnavailable
from explorer.media.image import open_picture
from explorer.methods import catalog
from explorer.methods.chance import chance_of, chances_of, draws_of
from explorer.metrics.leaderboard import (
    BUDGETS,
    FOLDER,
    EvalRecord,
    figure,
    read_records,
    table,
    to_frame,
    write_records,
    write_table,
)
from explorer.pico.data import scenes
from explorer.pico.data.questions import Question, sample
from explorer.tools.shards import Shard, shard
from explorer.vlm.devices import LoadSettings
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import cpu_threads

FIRST_SEED = 2_000_000_000  # neither training nor evaluation goes there
QUESTIONS = 2  # per scene
ALONE = 10  # every tenth scene is answered one by one


def evaluate(
    seed: int, specs: Sequence[str], budgets: Sequence[int], questions: int
) -> list[EvalRecord]:
    """Ask about one scene, by every method at every budget that it can reach."""
    with cpu_threads(default_loader().load("pico").run_threads):
        return _evaluate(seed, specs, budgets, questions)


def _evaluate(
    seed: int, specs: Sequence[str], budgets: Sequence[int], questions: int
) -> list[EvalRecord]:
    scene, cache = scenes.make(seed), ResultCache(64_000_000)
    picture = open_picture(scene.image)
    records = []
    for question in sample(scene, random.Random(f"leaderboard {seed}"), questions):
        names = _names(seed, specs)
        answer_specs = [(drawn, budget) for drawn in names for budget in budgets]
        answered = _timed if seed % ALONE == 0 else _together
        request = CaseRequest.make("pico", picture, question.text)
        full = answer_case(request, cache=cache)
        timed = [(full, float("nan")), *answered(request, answer_specs, cache)]
        records += [_record(seed, question, names, answer, total) for answer, total in timed]
    return records


def _names(seed: int, specs: Sequence[str]) -> dict[str, str]:
    """Give the row of each spec that is run: methods, and a draw of each random they need."""
    randoms = chances_of(specs)
    drawn = [draws_of(random) for random in randoms]
    draws = {seeds[seed % len(seeds)]: random for seeds, random in zip(drawn, randoms, strict=True)}
    return {spec: spec for spec in specs if spec not in randoms} | draws


def _together(
    request: CaseRequest, specs: list[tuple[str, int]], cache: ResultCache
) -> Iterator[tuple[Answer, float]]:
    """Answer side by side; what one answer takes in all is then unknown."""
    for result in answer_many(request, specs, cache=cache):
        if result.answer is not None:  # else the budget is below the method's floor
            yield result.answer, float("nan")


def _timed(
    request: CaseRequest, specs: list[tuple[str, int]], cache: ResultCache
) -> Iterator[tuple[Answer, float]]:
    """Answer one after the other, with the seconds that each takes."""
    for spec, budget in specs:
        began = time.perf_counter()
        try:
            answer = answer_case(request, spec, budget, cache=cache)
        except (BadBudget, MethodUnavailable):
            continue
        yield answer, time.perf_counter() - began


def _record(
    seed: int, question: Question, names: dict[str, str], answer: Answer, total: float
) -> EvalRecord:
    full = answer.method == FULL
    name = names.get(answer.method, answer.method)
    return EvalRecord(
        seed,
        question.text,
        question.kind,
        method=name,
        budget=1 if full else answer.budget,
        right=answer.text == question.answer,
        same=bool(answer.agrees),
        drop=float(answer.log_prob_loss),
        select=answer.seconds["select"],
        total=total,
        random="" if full else chance_of(name),
    )


def measure(
    seeds: Iterable[int],
    specs: Sequence[str],
    budgets: Sequence[int] = BUDGETS,
    questions: int = QUESTIONS,
    workers: int = 2,
) -> Iterator[list[EvalRecord]]:
    """Give the trials of each scene, in the order of the seeds; one process per core."""
    if workers == 1:
        yield from (evaluate(seed, specs, budgets, questions) for seed in seeds)
        return
    with ProcessPoolExecutor(workers, None, _share_cores, (workers,)) as pool:
        waiting = [pool.submit(evaluate, seed, specs, budgets, questions) for seed in seeds]
        yield from (done.result() for done in waiting)


def _share_cores(workers: int) -> None:
    default_loader().configure(LoadSettings(at_once=workers))


def main() -> None:
    """Measure, write assets/leaderboard, and print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="per scene")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--methods", nargs="*", help="default: all")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument(
        "--shard", type=shard, help="do a share, such as 2/4, and write its answers"
    )
    parser.add_argument("--merge", type=Path, nargs="+", help="answers that shares have written")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.merge:
        publish(pd.concat(map(read_records, chosen.merge)), chosen.out)
        return
    seeds = range(FIRST_SEED, FIRST_SEED + chosen.scenes)
    seeds = (chosen.shard or Shard()).take(seeds)
    specs = chosen.methods or [method.spec for method in catalog.choices()]
    found = _measured(seeds, specs, chosen.questions, chosen.workers)
    if chosen.shard:
        write_records(found, chosen.out / f"answers-{chosen.shard}.csv")
    else:
        publish(to_frame(found), chosen.out)


def _measured(
    seeds: Sequence[int], specs: Sequence[str], questions: int, workers: int
) -> list[EvalRecord]:
    """Measure all scenes and say how far it is."""
    began, found = time.perf_counter(), []
    for done, batch in enumerate(measure(seeds, specs, BUDGETS, questions, workers), 1):
        found += batch
        if done % 10 == 0 or done == len(seeds):
            seconds = time.perf_counter() - began
            print(f"{done} of {len(seeds)} scenes, {seconds:.0f} s", flush=True)
    return found


def publish(records: pd.DataFrame, folder: Path) -> None:
    """Write the table and its figure, and print what they say."""
    rows = table(records)
    write_table(rows, folder / "leaderboard.csv")
    (folder / "leaderboard.json").write_text(figure(rows).to_json(), encoding="utf-8")
    for row in rows.itertuples():
        print(
            f"{row.method:22} {row.budget:4} right {row.right:.3f} [{row.low:.3f}, {row.high:.3f}] "
            f"same {row.same:.3f}  select {row.select_ms:6.1f} ms  {row.verdict}"
        )
