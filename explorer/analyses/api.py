"""The use cases: analyse a picture and a question, answer from fewer tokens, compare, sweep.

Those of a video are in video/api.py.

Pure functions, used alike by the page, the API, the command line and the tests. What they remember
goes into a `Memory` that the caller owns and may leave out: what is known is given at once, without
a model. They know models, methods and metrics; not pages, sessions or ground truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from explorer.analyses import comparison, overview, picked, region_crop
from explorer.analyses import sweep as analyses_sweep
from explorer.analyses.attribution import importance, restoration, score_evaluation
from explorer.analyses.attribution.importance import Importance, Target
from explorer.analyses.attribution.restoration import RestorationResult
from explorer.analyses.attribution.score_evaluation import ScoreEvaluation
from explorer.analyses.comparison import Comparison
from explorer.analyses.region_crop import RegionAnswer
from explorer.analyses.sweep import Sweep
from explorer.cases import answers, case, gpu, scheduler
from explorer.cases.answers import FULL
from explorer.cases.batch_answers import AnswerResult, AnswerSpec
from explorer.cases.cache import ResultCache
from explorer.cases.gpu import GpuCost
from explorer.cases.records import Analysis, Answer, MethodMap
from explorer.cases.request import Source, make_request
from explorer.cases.scheduler import never
from explorer.media.grid import Box
from explorer.media.region import Cells
from explorer.methods import catalog
from explorer.vlm.components import Vlm
from explorer.vlm.progress import Progress

MANY, SWEPT, LONG = 40, 200, 200  # answers of a comparison, a sweep, an explanation, about


def analyse(
    model: str | Vlm, image: Source, question: str, memory: ResultCache | None = None
) -> Analysis:
    """Score a picture by every method and answer the question; see `overview.analyse`.

    image: a file, its bytes, or a PIL image. Raises `VisitorError` with one clear sentence.
    """
    asked = make_request(model, image, question)
    known = memory.get(("analysis", asked.id)) if memory else None
    return known or gpu.call(overview.analyse, asked, memory, much=GpuCost(maps=True))


def count_tokens(
    model: str | Vlm, image: Source, question: str, memory: ResultCache | None = None
) -> int:
    """Count the visual tokens that the model makes of a picture."""
    return gpu.call(
        case.count_tokens, make_request(model, image, question), memory, much=GpuCost(0)
    )


def unfold(
    model: str | Vlm,
    image: Source,
    question: str,
    memory: ResultCache | None = None,
    every: float = 0.0,
) -> Iterator[Answer | Analysis]:
    """Give the full answer while it comes, and the whole analysis at last, in one lease."""
    asked = make_request(model, image, question)
    known = memory.get(("analysis", asked.id)) if memory else None
    if known is not None:
        yield from (known.full, known)
        return
    yield from gpu.stream(overview.unfold, asked, memory, much=GpuCost(maps=True), every=every)


def draw(
    model: str | Vlm, image: Source, question: str, method: str, memory: ResultCache | None = None
) -> MethodMap:
    """Draw up the map of one method; see `overview.draw`."""
    catalog.resolve(method)
    asked = make_request(model, image, question)
    known = memory.get(("map", asked.id, method)) if memory else None
    return known or gpu.call(overview.draw, asked, memory, much=GpuCost(maps=True), method=method)


def answer(
    model: str | Vlm,
    image: Source,
    question: str,
    method: str,
    budget: int,
    memory: ResultCache | None = None,
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
    memory: ResultCache | None = None,
    every: float = 0.0,
) -> Iterator[Answer]:
    """Like `answer`, but gives partial answers while the tokens come; see `answers.stream`."""
    if method != FULL:
        catalog.resolve(method)
    asked = make_request(model, image, question)
    known = answers.cached_answer(asked.id, method, budget, memory)
    if known is not None:
        yield known
        return
    wanted = {"method": method, "budget": budget, "every": every}
    yield from gpu.stream(answers.stream, asked, memory, much=GpuCost(answers=2), **wanted)


def stream_full(
    model: str | Vlm,
    image: Source,
    question: str,
    memory: ResultCache | None = None,
    every: float = 0.0,
) -> Iterator[Answer]:
    """Give the answer from all visual tokens while it comes; the last one is complete."""
    asked = make_request(model, image, question)
    known = memory.get(("full", asked.id)) if memory else None
    if known is not None:
        yield known.answer
        return
    yield from gpu.stream(answers.stream_full, asked, memory, every=every)


def several(
    model: str | Vlm,
    image: Source,
    question: str,
    wanted: Sequence[AnswerSpec],
    memory: ResultCache | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[AnswerResult]:
    """Answer by several methods, each at its own budget; see `scheduler.answer_many`."""
    asked = make_request(model, image, question)
    known = scheduler.cached_answers(*asked.case, wanted, memory) if memory else []
    yield from known
    there = {(told.method, told.budget) for told in known}
    left = [wish for wish in dict.fromkeys(wanted) if wish not in there]
    if left and not stop():
        much = GpuCost(answers=1 + len(left))
        yield from gpu.stream(
            scheduler.answer_many, asked, memory, much=much, stop=stop, wanted=left
        )


def prepare(
    model: str | Vlm, asked: Sequence[tuple[Source, str, Sequence[AnswerSpec]]], memory: ResultCache
) -> None:
    """Answer several questions side by side, ahead of those who ask; see `scheduler.prepare`.

    Does nothing where GPUs are lent: every case has a lease of its own there.
    """
    if not gpu.ON_ZEROGPU:
        scheduler.prepare(model, asked, memory)


def compare(
    model: str | Vlm,
    image: Source,
    question: str,
    budget: int,
    methods: Sequence[str] | None = None,
    memory: ResultCache | None = None,
) -> Comparison:
    """Let methods answer at one mean budget and measure how far they agree.

    See `comparison.compare`.
    """
    asked = make_request(model, image, question)
    much = GpuCost(answers=MANY if methods is None else MANY // 2, maps=True)
    wanted = {"budget": budget, "methods": methods}
    return gpu.call(comparison.compare, asked, memory, much=much, **wanted)


def second_looks(
    model: str | Vlm,
    image: Source,
    question: str,
    cells: Cells,
    method: str = "clsattn",
    memory: ResultCache | None = None,
) -> Iterator[RegionAnswer]:
    """Look a second time at a chosen region; see `region_crop.answer_with_crop`."""
    asked = make_request(model, image, question)
    wanted = {"cells": cells, "method": method}
    yield from gpu.stream(
        region_crop.answer_with_crop, asked, memory, much=GpuCost(answers=5), **wanted
    )


def sweep(
    model: str | Vlm,
    image: Source,
    question: str,
    methods: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    memory: ResultCache | None = None,
    stop: Callable[[], bool] = never,
) -> Sweep:
    """Let methods answer over a ladder of budgets; see `sweep.sweep`."""
    asked = make_request(model, image, question)
    much = GpuCost(answers=SWEPT, maps=True)
    wanted = {"methods": methods, "budgets": budgets, "stop": stop}
    return gpu.call(analyses_sweep.sweep, asked, memory, much=much, **wanted)


def pick(
    model: str | Vlm,
    image: Source,
    question: str,
    kept: Sequence[int],
    memory: ResultCache | None = None,
    renumber: bool = False,
) -> Answer:
    """Answer from hand-picked visual tokens alone; see `picked.answer_from_tokens`."""
    asked = make_request(model, image, question)
    much = GpuCost(answers=2)  # the full answer, to which it is compared, is one
    return gpu.call(
        picked.answer_from_tokens, asked, memory, much=much, kept=kept, renumber=renumber
    )


def kept_shares(
    model: str | Vlm,
    image: Source,
    question: str,
    kept: Sequence[int],
    boxes: Sequence[Box],
    memory: ResultCache | None = None,
) -> list[float]:
    """Tell how much of each box lies under kept patches; see `picked.shares`."""
    asked = make_request(model, image, question)
    return gpu.call(picked.shares, asked, memory, much=GpuCost(0), kept=kept, boxes=boxes)


def oracle(
    model: str | Vlm,
    image: Source,
    question: str,
    target: Target = Target(),  # noqa: B008 (a frozen record)
    way: str = "removed",
    memory: ResultCache | None = None,
) -> Iterator[Progress | Importance]:
    """Tell how much an answer rests on each visual token; see `importance.explain`."""
    asked = make_request(model, image, question)
    yield from gpu.stream(
        importance.explain, asked, memory, much=GpuCost(answers=LONG), target=target, way=way
    )


def what_broke_it(
    model: str | Vlm,
    image: Source,
    question: str,
    kept: Sequence[int],
    memory: ResultCache | None = None,
    renumber: bool = False,
    wanted: str | None = None,
) -> Iterator[Progress | RestorationResult]:
    """Find dropped patches whose return restores an answer; see restoration.py."""
    asked = make_request(model, image, question)
    how = {"kept": kept, "renumber": renumber, "wanted": wanted}
    yield from gpu.stream(
        restoration.find_restoring_patches, asked, memory, much=GpuCost(answers=LONG), **how
    )


def trials(
    model: str | Vlm,
    image: Source,
    question: str,
    specs: Sequence[str],
    budget: int,
    memory: ResultCache | None = None,
) -> Iterator[Progress | ScoreEvaluation]:
    """Draw insertion and deletion curves of scores; see `score_evaluation.evaluate_scores`."""
    asked = make_request(model, image, question)
    yield from gpu.stream(
        score_evaluation.evaluate_scores,
        asked,
        memory,
        much=GpuCost(answers=LONG),
        specs=specs,
        budget=budget,
    )
