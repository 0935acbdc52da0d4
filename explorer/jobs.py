"""The use cases: analyse a picture and a question, answer from fewer tokens, compare, sweep.

Pure functions, used alike by the page, the API, the command line and the tests. What they remember
goes into a `Memory` that the caller owns and may leave out: what is known is given at once, without
a model. They know models, methods and metrics; not pages, sessions or ground truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from explorer import analysis, answers, comparison, leases, methods, reencode, sweeps, together
from explorer.answers import FULL, check_budget
from explorer.cases import Source, ask
from explorer.families import Vlm
from explorer.memory import Memory
from explorer.reencode import SecondLook
from explorer.region import Cells
from explorer.results import Analysis, Answer, Comparison, MethodMap, Sweep
from explorer.together import Told, Wanted, never


def analyse(
    model: str | Vlm, image: Source, question: str, memory: Memory | None = None
) -> Analysis:
    """Score a picture by every method and answer the question; see `analysis.analyse`.

    image: a file, its bytes, or a PIL image. Raises `VisitorError` with one clear sentence.
    """
    asked = ask(model, image, question)
    known = memory.get(("analysis", asked.id)) if memory else None
    return known or leases.call(analysis.analyse, asked, memory)


def draw(
    model: str | Vlm, image: Source, question: str, method: str, memory: Memory | None = None
) -> MethodMap:
    """Draw up the map of one method; see `analysis.draw`."""
    methods.resolve(method)
    asked = ask(model, image, question)
    known = memory.get(("map", asked.id, method)) if memory else None
    return known or leases.call(analysis.draw, asked, memory, method=method)


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
    known = memory.get(("answer", asked.id, method, budget)) if memory else None
    if known is not None:
        yield known
        return
    wanted = {"method": method, "budget": budget, "every": every}
    yield from leases.stream(answers.stream, asked, memory, **wanted)


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
    yield from leases.stream(together.answers, asked, memory, wanted=wanted, stop=stop)


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
    return leases.call(comparison.compare, asked, memory, budget=budget, methods=methods)


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
    yield from leases.stream(reencode.second_looks, asked, memory, cells=cells, method=method)


def sweep(
    model: str | Vlm,
    image: Source,
    question: str,
    methods: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    memory: Memory | None = None,
) -> Sweep:
    """Let methods answer over a ladder of budgets; see `sweeps.sweep`."""
    asked = ask(model, image, question)
    return leases.call(sweeps.sweep, asked, memory, methods=methods, budgets=budgets)


__all__ = [
    "FULL",
    "analyse",
    "answer",
    "check_budget",
    "compare",
    "draw",
    "second_looks",
    "several",
    "stream",
    "stream_full",
    "sweep",
]
