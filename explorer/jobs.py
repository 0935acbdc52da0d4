"""The use cases: analyse a picture and a question, answer from fewer tokens, compare, sweep.

Those of a video are in filming.py.

Pure functions, used alike by the page, the API, the command line and the tests. What they remember
goes into a `Memory` that the caller owns and may leave out: what is known is given at once, without
a model. They know models, methods and metrics; not pages, sessions or ground truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from explorer import (
    analysis,
    answers,
    blame,
    cases,
    comparison,
    importance,
    leases,
    methods,
    picking,
    reencode,
    sweeps,
    together,
    trial,
)
from explorer.answers import FULL, check_budget
from explorer.blame import Blame
from explorer.cases import Source, ask
from explorer.families import Vlm
from explorer.following import Progress
from explorer.grid import Box
from explorer.importance import Importance, Target
from explorer.leases import Work
from explorer.memory import Memory
from explorer.reencode import SecondLook
from explorer.region import Cells
from explorer.results import Analysis, Answer, Comparison, MethodMap, Sweep
from explorer.together import Told, Wanted, never
from explorer.trial import Trial

MANY, SWEPT, LONG = 40, 200, 200  # answers of a comparison, a sweep, an explanation, about


def analyse(
    model: str | Vlm, image: Source, question: str, memory: Memory | None = None
) -> Analysis:
    """Score a picture by every method and answer the question; see `analysis.analyse`.

    image: a file, its bytes, or a PIL image. Raises `VisitorError` with one clear sentence.
    """
    asked = ask(model, image, question)
    known = memory.get(("analysis", asked.id)) if memory else None
    return known or leases.call(analysis.analyse, asked, memory, much=Work(maps=True))


def count_tokens(
    model: str | Vlm, image: Source, question: str, memory: Memory | None = None
) -> int:
    """Count the visual tokens that the model makes of a picture."""
    return leases.call(cases.count_tokens, ask(model, image, question), memory, much=Work(0))


def unfold(
    model: str | Vlm,
    image: Source,
    question: str,
    memory: Memory | None = None,
    every: float = 0.0,
) -> Iterator[Answer | Analysis]:
    """Give the full answer while it comes, and the whole analysis at last, in one lease."""
    asked = ask(model, image, question)
    known = memory.get(("analysis", asked.id)) if memory else None
    if known is not None:
        yield from (known.full, known)
        return
    yield from leases.stream(analysis.unfold, asked, memory, much=Work(maps=True), every=every)


def draw(
    model: str | Vlm, image: Source, question: str, method: str, memory: Memory | None = None
) -> MethodMap:
    """Draw up the map of one method; see `analysis.draw`."""
    methods.resolve(method)
    asked = ask(model, image, question)
    known = memory.get(("map", asked.id, method)) if memory else None
    return known or leases.call(analysis.draw, asked, memory, much=Work(maps=True), method=method)


def answer(
    model: str | Vlm,
    image: Source,
    question: str,
    method: str,
    budget: int,
    memory: Memory | None = None,
) -> Answer:
    """Answer from the visual tokens that a method keeps at a mean budget; see `Answer`."""
    *_, last = stream(model, image, question, method, budget, memory, every=math.inf)
    return last


def stream(
    model: str | Vlm,
    image: Source,
    question: str,
    method: str,
    budget: int,
    memory: Memory | None = None,
    every: float = 0.0,
) -> Iterator[Answer]:
    """Like `answer`, but gives partial answers while the tokens come; see `answers.stream`."""
    if method != FULL:
        methods.resolve(method)
    asked = ask(model, image, question)
    known = answers.remembered(asked.id, method, budget, memory)
    if known is not None:
        yield known
        return
    wanted = {"method": method, "budget": budget, "every": every}
    yield from leases.stream(answers.stream, asked, memory, much=Work(answers=2), **wanted)


def stream_full(
    model: str | Vlm,
    image: Source,
    question: str,
    memory: Memory | None = None,
    every: float = 0.0,
) -> Iterator[Answer]:
    """Give the answer from all visual tokens while it comes; the last one is complete."""
    asked = ask(model, image, question)
    known = memory.get(("full", asked.id)) if memory else None
    if known is not None:
        yield known.answer
        return
    yield from leases.stream(answers.stream_full, asked, memory, every=every)


def several(
    model: str | Vlm,
    image: Source,
    question: str,
    wanted: Sequence[Wanted],
    memory: Memory | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[Told]:
    """Answer by several methods, each at its own budget; see `together.answers`."""
    asked = ask(model, image, question)
    known = together.remembered(*asked.case, wanted, memory) if memory else []
    yield from known
    there = {(told.method, told.budget) for told in known}
    left = [wish for wish in dict.fromkeys(wanted) if wish not in there]
    if left and not stop():
        much = Work(answers=1 + len(left))
        yield from leases.stream(together.answers, asked, memory, much=much, stop=stop, wanted=left)


def prepare(
    model: str | Vlm, asked: Sequence[tuple[Source, str, Sequence[Wanted]]], memory: Memory
) -> None:
    """Answer several questions side by side, ahead of those who ask; see `together.prepare`.

    Does nothing where GPUs are lent: every case has a lease of its own there.
    """
    if not leases.LENT:
        together.prepare(model, asked, memory)


def compare(
    model: str | Vlm,
    image: Source,
    question: str,
    budget: int,
    methods: Sequence[str] | None = None,
    memory: Memory | None = None,
) -> Comparison:
    """Let methods answer at one mean budget and measure how far they agree.

    See `comparison.compare`.
    """
    asked = ask(model, image, question)
    much = Work(answers=MANY if methods is None else MANY // 2, maps=True)
    wanted = {"budget": budget, "methods": methods}
    return leases.call(comparison.compare, asked, memory, much=much, **wanted)


def second_looks(
    model: str | Vlm,
    image: Source,
    question: str,
    cells: Cells,
    method: str = "clsattn",
    memory: Memory | None = None,
) -> Iterator[SecondLook]:
    """Look a second time at a region that a person has chosen; see `reencode.second_looks`."""
    asked = ask(model, image, question)
    wanted = {"cells": cells, "method": method}
    yield from leases.stream(reencode.second_looks, asked, memory, much=Work(answers=5), **wanted)


def sweep(
    model: str | Vlm,
    image: Source,
    question: str,
    methods: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    memory: Memory | None = None,
    stop: Callable[[], bool] = never,
) -> Sweep:
    """Let methods answer over a ladder of budgets; see `sweeps.sweep`."""
    asked = ask(model, image, question)
    much = Work(answers=SWEPT, maps=True)
    wanted = {"methods": methods, "budgets": budgets, "stop": stop}
    return leases.call(sweeps.sweep, asked, memory, much=much, **wanted)


def pick(
    model: str | Vlm,
    image: Source,
    question: str,
    kept: Sequence[int],
    memory: Memory | None = None,
    renumber: bool = False,
) -> Answer:
    """Answer from hand-picked visual tokens alone; see `picking.pick`."""
    asked = ask(model, image, question)
    much = Work(answers=2)  # the full answer, to which it is compared, is one
    return leases.call(picking.pick, asked, memory, much=much, kept=kept, renumber=renumber)


def kept_shares(
    model: str | Vlm,
    image: Source,
    question: str,
    kept: Sequence[int],
    boxes: Sequence[Box],
    memory: Memory | None = None,
) -> list[float]:
    """Tell how much of each box lies under kept patches; see `picking.shares`."""
    asked = ask(model, image, question)
    return leases.call(picking.shares, asked, memory, much=Work(0), kept=kept, boxes=boxes)


def oracle(
    model: str | Vlm,
    image: Source,
    question: str,
    target: Target = Target(),  # noqa: B008 (a frozen record)
    way: str = "removed",
    memory: Memory | None = None,
) -> Iterator[Progress | Importance]:
    """Tell how much an answer rests on each visual token; see `importance.explain`."""
    asked = ask(model, image, question)
    yield from leases.stream(
        importance.explain, asked, memory, much=Work(answers=LONG), target=target, way=way
    )


def what_broke_it(
    model: str | Vlm,
    image: Source,
    question: str,
    kept: Sequence[int],
    memory: Memory | None = None,
    renumber: bool = False,
    wanted: str | None = None,
) -> Iterator[Progress | Blame]:
    """Find dropped patches whose return restores an answer; see `blame.blame`."""
    asked = ask(model, image, question)
    how = {"kept": kept, "renumber": renumber, "wanted": wanted}
    yield from leases.stream(blame.blame, asked, memory, much=Work(answers=LONG), **how)


def trials(
    model: str | Vlm,
    image: Source,
    question: str,
    specs: Sequence[str],
    budget: int,
    memory: Memory | None = None,
) -> Iterator[Progress | Trial]:
    """Draw insertion and deletion curves of scores; see `trial.trials`."""
    asked = ask(model, image, question)
    yield from leases.stream(
        trial.trials, asked, memory, much=Work(answers=LONG), specs=specs, budget=budget
    )


__all__ = [
    "FULL", "analyse", "answer", "check_budget", "compare", "count_tokens", "draw", "kept_shares",
    "oracle", "pick", "prepare", "second_looks", "several", "stream", "stream_full", "sweep",
    "trials", "unfold", "what_broke_it",
]  # fmt: skip
