"""Does pruning work on pico? Every method at every budget on new scenes: a table to re-run.

`python -m explorer.leaderboard --scenes 200` asks about scenes whose answers are known and writes
assets/leaderboard: one row per method and budget, as CSV and as a plotly figure. Answers come from
`jobs.answer`, the same function that the page uses. `random` draws other tokens for every scene.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from explorer import jobs, methods
from explorer.errors import BadBudget, MethodUnavailable
from explorer.memory import Memory
from explorer.pico import scenes
from explorer.pico.questions import sample
from explorer.significance import interval, mcnemar

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "leaderboard"
BUDGETS = (4, 8, 16, 32, 64, 128)
FIRST_SEED = 2_000_000_000  # neither training nor evaluation goes there
QUESTIONS = 2  # per scene
DRAWS = 5  # of `random`
BASELINES = ("random", "uniform")
LEVEL = 0.05  # of the paired tests


@dataclass(frozen=True)
class Trial:
    """One question, answered by one method at one budget; "full" keeps everything.

    same: equals the full answer. drop: log-probability lost per token of the full answer, nats.
    select, total: seconds.
    """

    seed: int
    question: str
    kind: str
    method: str
    budget: int
    right: bool
    same: bool
    drop: float
    select: float
    total: float


@dataclass(frozen=True)
class Row:
    """What the table says of one method at one budget.

    right with its 95 % interval low..high and same: shares of n questions. drop: mean, nats per
    token. select_ms, total_ms: medians. vs_random, vs_uniform: p-values of McNemar's test. verdict:
    "better than random", "worse than random" or "no better than random". kinds: share of right
    answers per kind of question.
    """

    method: str
    budget: int
    n: int
    right: float
    low: float
    high: float
    same: float
    drop: float
    select_ms: float
    total_ms: float
    vs_random: float
    vs_uniform: float
    verdict: str
    kinds: str


def trials(seed: int, specs: Sequence[str], budgets: Sequence[int], questions: int) -> list[Trial]:
    """Ask about one scene, by every method at every budget that it can reach."""
    scene, memory = scenes.make(seed), Memory(64_000_000)
    found = []
    for asked in sample(scene, random.Random(f"leaderboard {seed}"), questions):

        def trial(spec: str, name: str, budget: int, asked=asked) -> Trial:
            began = time.perf_counter()
            answer = jobs.answer("pico", scene.image, asked.text, spec, budget, memory)
            return Trial(
                seed,
                asked.text,
                asked.kind,
                name,
                budget,
                right=answer.text == asked.answer,
                same=bool(answer.same),
                drop=float(answer.drop),
                select=answer.seconds["select"],
                total=time.perf_counter() - began,
            )

        found.append(trial("full", "full", 1))
        for spec in specs:
            drawn = f"random?seed={seed % DRAWS}" if spec == "random" else spec
            for budget in budgets:
                try:
                    found.append(trial(drawn, spec, budget))
                except (BadBudget, MethodUnavailable):
                    continue  # below the method's floor: the table leaves the cell empty
    return found


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


def table(found: Sequence[Trial]) -> list[Row]:
    """Sum up: one row per method and budget, "full" first, in the order in which they came."""
    groups: dict[tuple[str, int], dict[tuple[int, str], Trial]] = {}
    for trial in found:
        groups.setdefault((trial.method, trial.budget), {})[trial.seed, trial.question] = trial
    return [_row(method, budget, groups) for method, budget in groups]


def _row(method: str, budget: int, groups: dict) -> Row:
    group = groups[method, budget]
    all_trials = list(group.values())
    right = _column(all_trials, lambda trial: trial.right)
    low, high = interval(right)

    def against(baseline: str) -> tuple[float, float]:
        """p-value and difference of the shares, on the questions that both answered."""
        other = groups.get((baseline, budget), {})
        both = [key for key in group if key in other]
        if not both or baseline == method:
            return float("nan"), 0.0
        ours = np.array([group[key].right for key in both])
        theirs = np.array([other[key].right for key in both])
        return mcnemar(ours, theirs), float(ours.mean() - theirs.mean())

    (vs_random, gain), (vs_uniform, _) = (against(baseline) for baseline in BASELINES)
    kinds = sorted({trial.kind for trial in all_trials})
    shares = {
        kind: _column([t for t in all_trials if t.kind == kind], lambda trial: trial.right).mean()
        for kind in kinds
    }
    return Row(
        method,
        budget,
        n=len(all_trials),
        right=float(right.mean()),
        low=low,
        high=high,
        same=float(_column(all_trials, lambda trial: trial.same).mean()),
        drop=float(_column(all_trials, lambda trial: trial.drop).mean()),
        select_ms=1e3 * float(np.median(_column(all_trials, lambda trial: trial.select))),
        total_ms=1e3 * float(np.median(_column(all_trials, lambda trial: trial.total))),
        vs_random=vs_random,
        vs_uniform=vs_uniform,
        verdict=_verdict(vs_random, gain),
        kinds=" ".join(f"{kind}={share:.3f}" for kind, share in shares.items()),
    )


def _column(group: Sequence[Trial], value: Callable[[Trial], float]) -> np.ndarray:
    return np.array([value(trial) for trial in group], dtype=np.float64)


def _verdict(p: float, gain: float) -> str:
    if not p < LEVEL:  # NaN too: there is nothing to compare with
        return "no better than random" if p == p else ""
    return "better than random" if gain > 0 else "worse than random"


def write_csv(rows: Sequence[Row], file: Path) -> None:
    """Write the table; numbers with four digits."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            values = asdict(row)
            writer.writerow(
                {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in values.items()}
            )


def read_csv(file: Path) -> list[Row]:
    """Read a table that `write_csv` wrote."""
    kinds = {"method": str, "verdict": str, "kinds": str, "budget": int, "n": int}
    with file.open(newline="", encoding="utf-8") as lines:
        return [
            Row(**{name: kinds.get(name, float)(text) for name, text in row.items()})
            for row in csv.DictReader(lines)
        ]


def figure(rows: Sequence[Row]):
    """Draw accuracy against budget, one line per method; the full model and random stand out."""
    import plotly.graph_objects as go

    drawn = go.Figure()
    full = next(row for row in rows if row.method == "full")
    drawn.add_hline(y=full.right, line_dash="dot", annotation_text="all tokens")
    for method in dict.fromkeys(row.method for row in rows if row.method != "full"):
        own = [row for row in rows if row.method == method]
        baseline = method in BASELINES or method == "pool"
        drawn.add_scatter(
            x=[row.budget for row in own],
            y=[row.right for row in own],
            name=method,
            mode="lines+markers",
            line={"dash": "dash" if baseline else "solid", "width": 3 if baseline else 1.5},
            error_y={
                "array": [row.high - row.right for row in own],
                "arrayminus": [row.right - row.low for row in own],
                "visible": method == "random",
            },
            hovertemplate="%{fullData.name}, %{x} tokens: %{y:.1%} right<extra></extra>",
        )
    drawn.update_layout(
        xaxis={"type": "log", "title": "visual tokens, mean over layers", "tickvals": BUDGETS},
        yaxis={"title": "right answers", "tickformat": ".0%"},
        margin={"l": 50, "r": 10, "t": 20, "b": 45},
        legend={"font": {"size": 11}},
    )
    return drawn


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
