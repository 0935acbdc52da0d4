"""Does pruning work on pico? Every method at every budget on new scenes: a table to re-run.

`python -m explorer.leaderboard --scenes 200` asks about scenes whose answers are known and writes
assets/leaderboard: one row per method and budget, as CSV and as a plotly figure. Answers come from
the functions that the page uses: side by side for speed, and in every tenth scene one by one, which
gives the times. `random` draws other tokens from scene to scene.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from explorer import jobs, methods, together
from explorer.answers import reference
from explorer.cases import open_case
from explorer.errors import BadBudget, MethodUnavailable
from explorer.memory import Memory
from explorer.pico import scenes
from explorer.pico.questions import Question, sample
from explorer.picture import Picture, open_picture
from explorer.results import Answer
from explorer.standings import BUDGETS, Trial, figure, table, write_csv

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "leaderboard"
FIRST_SEED = 2_000_000_000  # neither training nor evaluation goes there
QUESTIONS = 2  # per scene
DRAWS = 5  # of `random`
ALONE = 10  # every tenth scene is answered one by one


def trials(seed: int, specs: Sequence[str], budgets: Sequence[int], questions: int) -> list[Trial]:
    """Ask about one scene, by every method at every budget that it can reach."""
    scene, memory = scenes.make(seed), Memory(64_000_000)
    picture = open_picture(scene.image)
    found = []
    for asked in sample(scene, random.Random(f"leaderboard {seed}"), questions):
        names = {spec: spec for spec in specs} | {f"random?seed={seed % DRAWS}": "random"}
        wanted = [
            (drawn, budget)
            for drawn, name in names.items()
            for budget in budgets
            if name in specs and drawn != "random"
        ]
        answered = _timed if seed % ALONE == 0 else _together
        full = reference(open_case("pico", picture, asked.text, memory), memory).answer
        given = [(full, float("nan")), *answered(picture, asked.text, wanted, memory)]
        found += [_trial(seed, asked, names, answer, total) for answer, total in given]
    return found


def _together(
    picture: Picture, question: str, wanted: list[tuple[str, int]], memory: Memory
) -> Iterator[tuple[Answer, float]]:
    """Answer side by side; what one answer takes in all is then unknown."""
    for told in together.answers("pico", picture, question, wanted, memory):
        if told.answer is not None:  # else the budget is below the method's floor
            yield told.answer, float("nan")


def _timed(
    picture: Picture, question: str, wanted: list[tuple[str, int]], memory: Memory
) -> Iterator[tuple[Answer, float]]:
    """Answer one after the other, with the seconds that each takes."""
    for spec, budget in wanted:
        began = time.perf_counter()
        try:
            answer = jobs.answer("pico", picture, question, spec, budget, memory)
        except (BadBudget, MethodUnavailable):
            continue
        yield answer, time.perf_counter() - began


def _trial(
    seed: int, asked: Question, names: dict[str, str], answer: Answer, total: float
) -> Trial:
    full = answer.method == jobs.FULL
    return Trial(
        seed,
        asked.text,
        asked.kind,
        method=names.get(answer.method, answer.method),
        budget=1 if full else answer.budget,
        right=answer.text == asked.answer,
        same=bool(answer.same),
        drop=float(answer.drop),
        select=answer.seconds["select"],
        total=total,
    )


def measure(
    seeds: Iterable[int],
    specs: Sequence[str],
    budgets: Sequence[int] = BUDGETS,
    questions: int = QUESTIONS,
    workers: int = 2,
) -> Iterator[list[Trial]]:
    """Give the trials of each scene, in the order of the seeds; one process per core."""
    if workers == 1:
        yield from (trials(seed, specs, budgets, questions) for seed in seeds)
        return
    with ProcessPoolExecutor(workers) as pool:
        waiting = [pool.submit(trials, seed, specs, budgets, questions) for seed in seeds]
        yield from (done.result() for done in waiting)


def main() -> None:
    """Measure, write assets/leaderboard, and print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="per scene")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--methods", nargs="*", help="default: all")
    parser.add_argument("--out", type=Path, default=FOLDER)
    chosen = parser.parse_args()
    specs = chosen.methods or [spec for spec, _, _ in methods.choices()]
    began, found = time.perf_counter(), []
    seeds = range(FIRST_SEED, FIRST_SEED + chosen.scenes)
    for done, batch in enumerate(
        measure(seeds, specs, questions=chosen.questions, workers=chosen.workers), 1
    ):
        found += batch
        if done % 10 == 0:
            print(
                f"{done} of {chosen.scenes} scenes, {time.perf_counter() - began:.0f} s", flush=True
            )
    rows = table(found)
    chosen.out.mkdir(parents=True, exist_ok=True)
    write_csv(rows, chosen.out / "leaderboard.csv")
    (chosen.out / "leaderboard.json").write_text(figure(rows).to_json(), encoding="utf-8")
    for row in rows:
        print(
            f"{row.method:22} {row.budget:4} right {row.right:.3f} [{row.low:.3f}, {row.high:.3f}] "
            f"same {row.same:.3f}  select {row.select_ms:6.1f} ms  {row.verdict}"
        )
    print(f"{len(found)} answers in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
