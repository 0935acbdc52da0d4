"""What a picture and a question come to: every method's map, and the full answer beside them.

Knows models and methods; not budgets that somebody asks about, nor what answers are compared for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from explorer import cost, methods
from explorer.answers import reference, stream_full
from explorer.cases import Case, Source, open_case
from explorer.engine import Prompt
from explorer.errors import MethodUnavailable
from explorer.families import Vlm
from explorer.maps import map_of
from explorer.memory import Memory, recall
from explorer.results import Analysis, Answer, MethodMap
from explorer.words import unknown_words

ONE_CASE = 64_000_000  # bytes of memory for a caller who has none


def analyse(
    model: str | Vlm, image: Source, question: str, memory: Memory | None = None
) -> Analysis:
    """Score a picture by every method and answer the question from all visual tokens.

    Methods that are slow (relevance runs backwards for every word) are left out; see `draw`.

    image: a file, its bytes, or a PIL image. Raises `VisitorError` with one clear sentence.
    """
    case = open_case(model, image, question, memory)
    return recall(memory, ("analysis", case.id), lambda: _analyse(case, memory), _weigh)


def unfold(
    model: str | Vlm, image: Source, question: str, every: float = 0.0, memory: Memory | None = None
) -> Iterator[Answer | Analysis]:
    """Give the full answer while it comes, and the whole analysis at last, all in one go."""
    memory = Memory(ONE_CASE) if memory is None else memory
    yield from stream_full(model, image, question, memory, every)
    yield analyse(model, image, question, memory)


def _weigh(analysis: Analysis) -> int:
    width, height = analysis.picture.image.size
    return sum(map(weigh, analysis.methods)) + 3 * width * height + 20_000


def weigh(found: MethodMap) -> int:
    """Count the bytes of a map, records rounded up."""
    stages = [stage for knot in found.knots or () for stage in knot.stages]
    return 4 * found.score.nbytes + sum(s.fate.nbytes + s.score.nbytes for s in stages) + 500


def _analyse(case: Case, memory: Memory | None) -> Analysis:
    began = time.perf_counter()
    compared = reference(case, memory)
    answered = time.perf_counter()
    prompts: dict[frozenset[str], Prompt] = {}

    def prompt(needs: frozenset[str]) -> Prompt:
        if needs not in prompts:
            prompts[needs] = case.prompt(needs, lambda: compared.tokens)
        return prompts[needs]

    maps, notes = [], list(case.picture.notes) + _word_notes(case) + _stand_ins(case)
    for spec, method, options in methods.choices():
        if methods.slow(method):
            continue
        try:
            maps.append(map_of(spec, method, options, case.size, case.decoder, prompt))
        except MethodUnavailable as error:
            notes.append(str(error))
    return Analysis(
        id=case.id,
        model=case.vlm.key,
        question=case.question,
        picture=case.picture,
        grid=case.look.grid,
        layers=case.size.layers,
        methods=tuple(maps),
        full=compared.answer,
        notes=tuple(notes),
        seconds={
            "vision": case.look.seconds,
            "full": answered - began,
            "maps": time.perf_counter() - answered,
        },
        shape=cost.shape_of(case.decoder.body.config),
        text=prompt(frozenset()).embeds.shape[1] - case.size.tokens,
        bytes=case.vlm.model.dtype.itemsize,
    )


def draw(
    model: str | Vlm, image: Source, question: str, method: str, memory: Memory | None = None
) -> MethodMap:
    """Draw up the map of one method: a slow one, or one with options such as "random?seed=3"."""
    return draw_case(open_case(model, image, question, memory), method, memory)


def draw_case(case: Case, method: str, memory: Memory | None = None) -> MethodMap:
    """Like `draw`, for a case that is open."""
    module, options = methods.resolve(method)

    def make() -> MethodMap:
        def prompt(needs: frozenset[str]) -> Prompt:
            return case.prompt(needs, lambda: reference(case, memory).tokens)

        return map_of(method, module, options, case.size, case.decoder, prompt)

    return recall(memory, ("map", case.id, method), make, weigh)


def _stand_ins(case: Case) -> list[str]:
    """Tell what methods take in place of a [CLS] that the model's tower doesn't have."""
    if case.size.cls:
        return []
    users: dict[str, list[str]] = {}
    for method in methods.METHODS:
        if instead := getattr(method, "STAND_IN", None):
            users.setdefault(instead, []).append(method.TITLE)
    return [
        f"This model has no [CLS]: {instead} stands in for it ({', '.join(titles)})."
        for instead, titles in users.items()
    ]


def _word_notes(case: Case) -> list[str]:
    unknown = unknown_words(case.question, case.vlm.processor.tokenizer)
    if not unknown:
        return []
    listed = ", ".join(f"“{word}”" for word in unknown)
    return [f"{case.vlm.title} does not know {listed}: it read a blank there."]
