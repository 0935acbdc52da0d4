"""Does pruning work on pico? Every method at every budget on new scenes: a table to re-run.

`python -m explorer leaderboard --scenes 200` asks one question about each of 200 scenes whose
answers are known and writes assets/leaderboard: one row per method and budget, as CSV and as a
plotly figure; `python -m explorer docs` then writes what they say into the README. Answers come
side by side, from the functions that the page uses. A method is measured by the random that counts
positions as it does and drops at the same layers; every random draws other tokens from scene to
scene. Answers are written down as they come: after an interruption, with more scenes or with a new
method the same command does what is missing.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from explorer.cases.answers import answer as answer_case
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many
from explorer.media.image import open_picture
from explorer.methods import catalog, chance
from explorer.metrics.leaderboard.figure import figure
from explorer.metrics.leaderboard.table import (
    BUDGETS,
    FOLDER,
    EvalRecord,
    table,
    to_frame,
    write_table,
)
from explorer.pico.data import scenes
from explorer.pico.data.questions import Question, sample
from explorer.tools import distributed
from explorer.tools.distributed import Team, progress
from explorer.tools.distributed.log import append
from explorer.tools.distributed.models import share_cores
from explorer.tools.leaderboard import answer_log
from explorer.tools.leaderboard.answer_log import Measured
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import cpu_threads

FIRST_SEED = 2_000_000_000  # neither training nor evaluation goes there
LOG = "answers.jsonl"
KEEPING = ("clsattn", "divprune", "cdpruner", "mmtok", "visionzip")
"""Asked with positions kept as well, to tell the choice from what becomes of positions."""


def evaluate(seed: int, rows: Sequence[str], budgets: Sequence[int]) -> Measured:
    """Ask one question about a scene: every row at every budget that it can reach.

    rows: specs of methods, and of randoms without a draw, of which the seed chooses one.
    """
    drawn = {_draw(row, seed): row for row in rows}
    with cpu_threads(default_loader().load("pico").run_threads):
        scene, cache = scenes.make(seed), ResultCache(64_000_000)
        (question,) = sample(scene, random.Random(f"leaderboard {seed}"), 1)
        request = CaseRequest.make("pico", open_picture(scene.image), question.text)
        full = answer_case(request, cache=cache)
        records = [_record(seed, question, FULL, full, full)]
        specs = [(spec, budget) for spec in drawn for budget in budgets]
        for result in answer_many(request, specs, cache=cache):
            if result.answer is not None:  # else the budget is below the method's floor
                row = drawn[result.method]
                records.append(_record(seed, question, row, result.answer, full))
    order = {row: number for number, row in enumerate([FULL, *rows])}
    records.sort(key=lambda record: (order[record.method], record.budget))
    return Measured(seed, tuple(rows), tuple(budgets), tuple(records))


def _draw(row: str, seed: int) -> str:
    """Give the spec that stands for a row on one scene."""
    if not chance.is_random(row):
        return row
    draws = chance.draws_of(row)
    return draws[seed % len(draws)]


def all_specs() -> list[str]:
    """List every method and variant, and some methods again with positions kept."""
    kept = [f"{name}?positions=keep" for name in KEEPING]
    return [method.spec for method in catalog.choices()] + kept


def rows_for(specs: Iterable[str]) -> list[str]:
    """List the rows of a table: the randoms that some methods are measured by, and the methods."""
    specs = list(specs)
    return list(dict.fromkeys([*chance.chances_of(specs), *specs]))


def _record(seed: int, question: Question, row: str, answer: Answer, full: Answer) -> EvalRecord:
    return EvalRecord(
        seed,
        question.text,
        question.kind,
        method=row,
        budget=1 if row == FULL else answer.budget,
        right=answer.text == question.answer,
        agrees=bool(answer.agrees),
        log_prob_loss=float(answer.log_prob_loss),
        flops=answer.flops / full.flops,
        kv=answer.kv_bytes / full.kv_bytes,
        random="" if row == FULL else chance.chance_of(row),
    )


def _evaluated(budgets: Sequence[int], asked: tuple[int, Sequence[str]]) -> Measured:
    """Like `evaluate`, for what a team hands out: a seed and its rows."""
    seed, rows = asked
    return evaluate(seed, rows, budgets)


def described(rows: pd.DataFrame) -> pd.DataFrame:
    """Add what readers call a method, what becomes of positions, and what it is measured by."""
    full, methods = rows["method"] == FULL, rows["method"]
    told = rows.copy()
    told.insert(1, "title", [title(each) for each in methods])
    positions = ["" if each == FULL else catalog.resolve(each).positions for each in methods]
    told.insert(3, "positions", positions)
    titles = [title(each) if each else "" for each in rows["random"].where(~full, "")]
    told.insert(told.columns.get_loc("random") + 1, "random_title", titles)
    return told


def title(row: str) -> str:
    """Name a row for readers."""
    if row == FULL:
        return "All tokens"
    return chance.title_of(row) if chance.is_random(row) else catalog.title(row)


def main() -> int | None:
    """Ask about scenes what has not been asked yet, write assets/leaderboard, print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--scenes", type=int, default=200, help="one question each")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--methods", nargs="*", help="default: all, with their variants")
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS, help="mean tokens")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--log", type=Path, help="answers so far; default: answers.jsonl in --out")
    chosen = parser.parse_args()
    return distributed.run(partial(lead, chosen), share_cores, chosen.workers)


def lead(chosen: argparse.Namespace, team: Team) -> None:
    """Do what the command line asks for, with a team."""
    chosen.out.mkdir(parents=True, exist_ok=True)
    rows = rows_for(chosen.methods or all_specs())
    seeds = range(FIRST_SEED, FIRST_SEED + chosen.scenes)
    log = chosen.log or chosen.out / LOG
    measured = fill(log, seeds, rows, chosen.budgets, team)
    shown = {FULL, *rows}
    records = (record for one in measured for record in one.records)
    publish([r for r in records if r.seed in seeds and r.method in shown], chosen.out)


def fill(
    log: Path, seeds: Sequence[int], rows: Sequence[str], budgets: Sequence[int], team: Team
) -> list[Measured]:
    """Measure what the log doesn't have, say how far it is, and give all that it has then."""
    measured = list(answer_log.read(log))
    known, missing = answer_log.done(measured, budgets), []
    for seed in seeds:
        new = [row for row in rows if row not in known.get(seed, ())]
        if new:
            missing.append((seed, new))
    results = team.results(partial(_evaluated, budgets), missing)
    for _, one in progress.told(results, len(missing), "scenes"):
        append(log, one)
        measured.append(one)
    return sorted(measured, key=lambda one: one.seed)  # whoever was first to answer


def publish(records: Iterable[EvalRecord], folder: Path) -> None:
    """Write the table and its figure, and print what they say."""
    rows = described(table(to_frame(records)))
    write_table(rows, folder / "leaderboard.csv")
    (folder / "leaderboard.json").write_text(figure(rows).to_json(), encoding="utf-8")
    for row in rows.itertuples():
        print(
            f"{row.title:40} {row.budget:4} right {row.right:.3f} [{row.low:.3f}, {row.high:.3f}] "
            f"agrees {row.agrees:.3f}  FLOPs {row.flops:.2f}  {row.gain:+.3f} {row.verdict}"
        )
