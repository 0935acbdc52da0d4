"""Does pruning work on pico? Every method at every budget on new scenes: a table to re-run.

`python -m explorer leaderboard --scenes 200` asks one question about each of 200 scenes whose
answers are known and writes assets/leaderboard: one row per method and budget, as CSV and as a
plotly figure; `python -m explorer docs` then writes what they say into the README. Answers come
side by side, from the functions that the page uses. A method is measured by the random that counts
positions as it does and drops at the same layers; every random draws other tokens from scene to
scene. Answers are written down as they come, with the weights that gave them: after an
interruption, with more scenes or with a new method the same command does what is missing, and after
a new training everything.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from explorer.cases.answers import answer as answer_case
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many
from explorer.errors import VisitorError
from explorer.media.image import open_picture
from explorer.methods import catalog, chance
from explorer.metrics.leaderboard.table import BUDGETS, FOLDER, EvalRecord
from explorer.metrics.scoring.rules import RULES
from explorer.pico.data import scenes
from explorer.pico.data.questions import Question, sample
from explorer.tools import distributed
from explorer.tools.distributed import Team, progress
from explorer.tools.distributed.log import append
from explorer.tools.distributed.models import register_models, suited
from explorer.tools.distributed.weights import weights_digest
from explorer.tools.leaderboard import answer_log, own_data, own_failures
from explorer.tools.leaderboard.answer_log import Measured
from explorer.tools.leaderboard.own_data import AUTO, OwnData
from explorer.tools.leaderboard.publishing import publish
from explorer.tools.leaderboard.rows import all_specs, draw_of, rows_for, title
from explorer.vlm.catalog import CUSTOM_HELP, DEFAULT
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import cpu_threads

FIRST_SEED = 2_000_000_000  # neither training nor evaluation goes there
LOG = "answers.jsonl"


def evaluate(seed: int, rows: Sequence[str], budgets: Sequence[int]) -> Measured:
    """Ask one question about a scene: every row at every budget that it can reach.

    rows: specs of methods, and of randoms without a draw, of which the seed chooses one.
    """
    drawn = {draw_of(row, seed): row for row in rows}
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
    return Measured(seed, weights_digest(), tuple(rows), tuple(budgets), tuple(records))


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


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=main.__doc__)
    add = parser.add_argument
    add("--scenes", type=int, default=200, help="one question each")
    add("--workers", type=int, help="processes (default: what suits the model)")
    add("--methods", nargs="*", help="default: all, with their variants")
    add("--budgets", type=int, nargs="+", default=BUDGETS, help="mean tokens")
    own = parser.add_argument_group("own pictures in place of scenes").add_argument
    told = (
        "a JSON object per line, with picture, question, and answer or a list of answers, those of "
        "ten people for VQA accuracy; choices, if a letter is asked for"
    )
    own("--data", type=Path, metavar="FILE.jsonl", help=told)
    own("--images", type=Path, metavar="FOLDER", help="of the pictures (default: beside the file)")
    own("--model", default=DEFAULT, help=CUSTOM_HELP)
    rule = "how answers are scored (default: as suits each line)"
    own("--score", choices=(AUTO, *RULES), default=AUTO, help=rule)
    own("--cases", type=int, default=20, help="failures that are written as cases for the page")
    out = "folder of the table (default: assets/leaderboard; FILE-leaderboard beside own data)"
    add("--out", type=Path, help=out)
    add("--log", type=Path, help="answers so far; default: answers.jsonl in --out")
    return parser


def main() -> int | None:
    """Ask scenes or own pictures what has not been asked yet, write a table and print it."""
    parser = _arguments()
    chosen = parser.parse_args()
    try:
        rows, models = rows_for(_methods(chosen.methods)), (DEFAULT,)
        lead = partial(of_scenes, chosen, rows)
        if chosen.data is not None:
            chosen.images = chosen.images or chosen.data.parent
            chosen.data.open("rb").close()
            next(chosen.images.iterdir(), None)  # is there such a folder?
            lead, models = partial(of_own_pictures, chosen, rows), (chosen.model,)
    except (OSError, LookupError, VisitorError) as error:
        parser.error(str(error))
    try:
        workers = chosen.workers or (1 if distributed.launched() else suited(models[0]))
        return distributed.run(lead, partial(register_models, models), workers)
    except VisitorError as error:
        parser.error(str(error))


def _methods(named: Sequence[str] | None) -> list[str]:
    """Check and unify the methods of a command line. Raises `UnknownMethod`."""
    return [catalog.resolve(spec).spec for spec in named] if named else all_specs()


def of_scenes(chosen: argparse.Namespace, rows: Sequence[str], team: Team) -> None:
    """Measure on scenes what the command line asks for, with a team."""
    folder = chosen.out or FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(FIRST_SEED, FIRST_SEED + chosen.scenes)
    measured = fill(chosen.log or folder / LOG, seeds, rows, chosen.budgets, team)
    shown = {FULL, *rows}
    records = (record for one in measured for record in one.records)
    publish([r for r in records if r.seed in seeds and r.method in shown], folder)


def of_own_pictures(chosen: argparse.Namespace, rows: Sequence[str], team: Team) -> int:
    """Measure on own pictures; 1 if no line could be asked."""
    file, budgets = chosen.data, tuple(sorted(set(chosen.budgets)))
    model = default_loader().catalog.register(chosen.model)
    data = OwnData(file, chosen.images, model, tuple(rows), budgets, chosen.score)
    folder = chosen.out or file.with_name(f"{file.stem}-leaderboard")
    folder.mkdir(parents=True, exist_ok=True)
    log = chosen.log or folder / LOG
    filled = own_data.fill(data, log, team)
    records = list(own_data.records(data, log))
    questions = len({record.seed for record in records})
    print(f"{questions} questions, {filled.asked} of them new, {len(filled.skipped)} lines skipped")
    if not records:
        return 1
    publish(records, folder, own_data.yes_no(data, log))
    for row, why in own_data.refusals(data, log).items():
        print(f"{title(row)} answered nothing: {why}")
    found = own_failures.failures(data, log)
    own_failures.write_list(data, found, folder / "failures.jsonl")
    cases = own_failures.write_cases(data, found[: chosen.cases], folder / "cases", team)
    print(f"{len(found)} questions with failures: {folder / 'failures.jsonl'}")
    print(f"{cases} of them as cases that the page opens: {folder / 'cases'}")
    return 0


def fill(
    log: Path, seeds: Sequence[int], rows: Sequence[str], budgets: Sequence[int], team: Team
) -> list[Measured]:
    """Measure what the log doesn't have, say how far it is, and give all that it has then."""
    measured = list(answer_log.read(log, weights_digest()))
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
