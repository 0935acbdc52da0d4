"""What a picture and a question come to: every method's map, and the full answer beside them.

Knows models and methods; not budgets that somebody asks about, nor what answers are compared for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from explorer.cases.answers import full_run, stream_full
from explorer.cases.cache import ResultCache, get_or_compute
from explorer.cases.case import Case, PromptCache, open_case
from explorer.cases.method_maps import map_of
from explorer.cases.records import Analysis, Answer, MethodMap
from explorer.cases.request import Source
from explorer.errors import MethodUnavailable
from explorer.methods import catalog
from explorer.methods.method import Method
from explorer.metrics import cost
from explorer.vlm.components import Vlm
from explorer.vlm.prompt import as_read, unknown_words
from explorer.vlm.threads import parallel, parallel_runs

ONE_CASE = 64_000_000  # bytes of memory for a caller who has none
LONGEST = ("both", "inside the LLM", "before the LLM")  # how long maps take by where methods prune


def analyse(
    model: str | Vlm, image: Source, question: str, memory: ResultCache | None = None
) -> Analysis:
    """Score a picture by every method and answer the question from all visual tokens.

    Methods that are slow (relevance runs backwards for every word) are left out; see `draw`.

    image: a file, its bytes, or a PIL image. Raises `VisitorError` with one clear sentence.
    """
    case = open_case(model, image, question, memory)
    return get_or_compute(memory, ("analysis", case.id), lambda: _analyse(case, memory), _weigh)


def unfold(
    model: str | Vlm,
    image: Source,
    question: str,
    every: float = 0.0,
    memory: ResultCache | None = None,
) -> Iterator[Answer | Analysis]:
    """Give the full answer while it comes, and the whole analysis at last, all in one go."""
    memory = ResultCache(ONE_CASE) if memory is None else memory
    yield from stream_full(model, image, question, memory, every)
    yield analyse(model, image, question, memory)


def _weigh(analysis: Analysis) -> int:
    width, height = analysis.picture.image.size
    return sum(map(weigh, analysis.methods)) + 3 * width * height + 20_000


def weigh(found: MethodMap) -> int:
    """Count the bytes of a map, records rounded up."""
    stages = [stage for point in found.points or () for stage in point.stages]
    return 4 * found.score.nbytes + sum(s.fate.nbytes + s.score.nbytes for s in stages) + 500


def _analyse(case: Case, memory: ResultCache | None) -> Analysis:
    began = time.perf_counter()
    compared = full_run(case, memory)
    answered = time.perf_counter()
    prompts = PromptCache(case, lambda: compared.tokens)
    quick = [method for method in catalog.choices() if not method.slow]
    found = draw_all(case, prompts, quick)
    notes = [*case.picture.notes, *_word_notes(case), *_stand_ins(case)]
    notes += [reason for reason in found if isinstance(reason, str)]
    return Analysis(
        id=case.id,
        model=case.vlm.key,
        question=case.question,
        picture=case.picture,
        grid=case.look.grid,
        layers=case.size.layers,
        methods=tuple(each for each in found if isinstance(each, MethodMap)),
        full=compared.answer,
        notes=tuple(notes),
        seconds={
            "vision": case.look.seconds,
            "full": answered - began,
            "maps": time.perf_counter() - answered,
        },
        shape=cost.shape_of(case.decoder.body.config),
        text=prompts.text,
        bytes=case.vlm.model.dtype.itemsize,
        crops=_crops(case),
    )


def draw_all(case: Case, prompts: PromptCache, methods: Sequence[Method]) -> list[MethodMap | str]:
    """Draw up several maps side by side, in their order, or say why there is none."""

    def work(some: Iterator[Method]) -> Iterator[tuple[str, MethodMap | str]]:
        for method in some:
            try:
                yield method.spec, map_of(method, case.size, case.decoder, prompts)
            except MethodUnavailable as error:
                yield method.spec, str(error)

    # first what takes long, so that no lane has to wait for it in the end
    long_first = sorted(methods, key=lambda method: LONGEST.index(method.where))
    found = dict(parallel(work, long_first, parallel_runs(case.vlm)))
    return [found[method.spec] for method in methods]


def _crops(case: Case) -> np.ndarray | None:
    """Tell which crop of the picture every token is from."""
    look = case.look
    if len(look.grid.views) == 1:
        return None
    return look.grid.patches[:, 0] // look.seen.hidden.shape[1]


def draw(
    model: str | Vlm, image: Source, question: str, method: str, memory: ResultCache | None = None
) -> MethodMap:
    """Draw up the map of one method: a slow one, or one with options such as "random?seed=3"."""
    return draw_case(open_case(model, image, question, memory), method, memory)


def draw_case(case: Case, method: str, memory: ResultCache | None = None) -> MethodMap:
    """Like `draw`, for a case that is open."""
    resolved = catalog.resolve(method)

    def make() -> MethodMap:
        prompts = PromptCache(case, lambda: full_run(case, memory).tokens)
        return map_of(resolved, case.size, case.decoder, prompts)

    # one map for all ways to write a spec; it bears the one that was asked for
    found = get_or_compute(memory, ("map", case.id, resolved.spec), make, weigh)
    return found if found.spec == method else replace(found, spec=method)


def _stand_ins(case: Case) -> list[str]:
    """Tell what methods take in place of a [CLS] that the model's tower doesn't have."""
    if case.size.cls:
        return []
    users: dict[str, list[str]] = {}
    for method in catalog.METHODS:
        if method.card.stand_in:
            users.setdefault(method.card.stand_in, []).append(method.card.title)
    return [
        f"This model has no [CLS]: {instead} stands in for it ({', '.join(titles)})."
        for instead, titles in users.items()
    ]


def _word_notes(case: Case) -> list[str]:
    """Tell what the model reads otherwise than the visitor wrote it."""
    tokenizer, notes = case.vlm.processor.tokenizer, []
    question = as_read(case.question, tokenizer)
    if not question:
        notes.append(f"{case.vlm.title} reads no question: control marks were taken out of it.")
    elif question != case.question:
        notes.append(f"Control marks were taken out of the question; it reads “{question}”.")
    unknown = unknown_words(question, tokenizer)
    if unknown:
        listed = ", ".join(f"“{word}”" for word in unknown)
        notes.append(f"{case.vlm.title} does not know {listed}: it read a blank there.")
    return notes
