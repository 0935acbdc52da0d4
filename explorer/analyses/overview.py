"""What a picture and a question come to: every method's map, and the full answer beside them.

Knows models and methods; not the budgets of a visitor, nor what answers are compared for.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count
from types import MappingProxyType

import numpy as np

from explorer.cases import gpu
from explorer.cases.answers import full_run, stream_full
from explorer.cases.cache import CacheKey, ResultCache
from explorer.cases.case import Case, PromptCache, open_case
from explorer.cases.gpu import CachedAs, GpuCost, use_case
from explorer.cases.method_maps import map_of
from explorer.cases.records import Analysis, Answer, MethodMap
from explorer.cases.request import CaseRequest
from explorer.errors import MethodUnavailable
from explorer.methods import catalog
from explorer.methods.method import Method
from explorer.metrics import cost
from explorer.vlm.catalog import RESOLUTIONS
from explorer.vlm.progress import Progress, report
from explorer.vlm.prompt import as_read, unknown_words
from explorer.vlm.threads import parallel, parallel_runs
from explorer.vlm.turns.current_run import clock, yield_turn

LONGEST = ("both", "inside the LLM", "before the LLM")  # how long maps take by where methods prune
NONE_KNOWN: Mapping[str, MethodMap] = MappingProxyType({})


def _analysis_bytes(analysis: Analysis) -> int:
    width, height = analysis.picture.image.size
    return sum(map(map_bytes, analysis.methods)) + 3 * width * height + 20_000


def map_bytes(method_map: MethodMap) -> int:
    """Count the bytes of a map, records rounded up."""
    stages = [stage for point in method_map.points or () for stage in point.stages]
    return 4 * method_map.score.nbytes + sum(s.fate.nbytes + s.score.nbytes for s in stages) + 500


def _analysis_key(request: CaseRequest, **_: object) -> CacheKey:
    return CacheKey("analysis", request.id)


def _scores_key(request: CaseRequest, **_: object) -> CacheKey:
    return CacheKey("scores", request.id)


@use_case(cost=GpuCost(maps=True), cached=CachedAs(_analysis_key, _analysis_bytes))
def analyse(request: CaseRequest, *, cache: ResultCache | None = None) -> Analysis:
    """Score a picture by every method and answer the question from all visual tokens.

    Methods that are slow (relevance runs backwards for every token) are left out; see `draw`.
    Raises `VisitorError` with one clear sentence.
    """
    *_, analysis = _analysed(request, cache)
    return analysis


def score_all(request: CaseRequest, *, cache: ResultCache | None = None) -> Analysis:
    """Like `analyse`, at a fraction of its cost: methods that aren't nested are scored alone.

    What they keep at which budget (`MethodMap.points`) is left out, unless it is known already.
    """
    known = None if cache is None else cache.get(_analysis_key(request))
    return known or _score_all(request, cache=cache)


@use_case(cost=GpuCost(maps=True), cached=CachedAs(_scores_key, _analysis_bytes))
def _score_all(request: CaseRequest, *, cache: ResultCache | None = None) -> Analysis:
    *_, analysis = _analysed(request, cache, whole=())
    return analysis


def _analysed(
    request: CaseRequest,
    cache: ResultCache | None,
    whole: Collection[str] | None = None,
    every: float = math.inf,
) -> Iterator[Answer | Analysis]:
    """Give the full answer while it is decoded, then the analysis; the layers run once for both.

    whole: as in `draw_all`. Maps that the cache has are not drawn again.
    """
    case = open_case(request, cache)
    began = clock()
    prompts = PromptCache(case, lambda: full.tokens)
    full = yield from stream_full(case, every, cache, prompts)
    answered = clock()
    yield full.answer
    quick = [method for method in catalog.choices() if not method.slow]
    maps = draw_all(case, prompts, quick, whole, _known_maps(request, cache))
    notes = [*case.picture.notes, *_word_notes(case), *_coarseness(case), *_stand_ins(case)]
    notes += [reason for reason in maps if isinstance(reason, str)]
    yield Analysis(
        id=case.id,
        model=case.vlm.key,
        question=case.question,
        picture=case.picture,
        grid=case.vision.grid,
        layers=case.size.layers,
        methods=tuple(each for each in maps if isinstance(each, MethodMap)),
        full=full.answer,
        notes=tuple(notes),
        seconds={
            "vision": case.vision.seconds,
            "full": answered - began,
            "maps": clock() - answered,
        },
        shape=cost.shape_of(case.decoder.body.config),
        text=prompts.text_tokens,
        bytes=case.vlm.model.dtype.itemsize,
        crops=_crops(case),
    )


def unfold(
    request: CaseRequest,
    every: float = 0.0,
    methods: Sequence[str] | None = None,
    *,
    cache: ResultCache | None = None,
) -> Iterator[Answer | Analysis]:
    """Give the full answer while it is decoded, and the analysis at last.

    methods: those that are looked at. All others that aren't nested are scored alone, as by
    `score_all`, unless all is known already; `analyse` then gives the rest. None: all are whole, as
    they are from a lent GPU, which would have to be lent anew for the rest.
    """
    known = None if cache is None else cache.get(_analysis_key(request))
    if known is None:
        whole = None if methods is None or gpu.ON_ZEROGPU else tuple(methods)
        yield from _unfold(request, every, whole, cache=cache)
    else:
        yield from (known.full, known)


@use_case(cost=GpuCost(maps=True))
def _unfold(
    request: CaseRequest,
    every: float,
    methods: tuple[str, ...] | None,
    *,
    cache: ResultCache | None = None,
) -> Iterator[Answer | Analysis]:
    key = _analysis_key(request) if methods is None else _scores_key(request)
    for found in _analysed(request, cache, methods, every):
        if cache is not None and isinstance(found, Analysis):
            # before it is given: from a process with a lent GPU both then come as one
            cache.put(key, found, _analysis_bytes(found))
        yield found


def _known_maps(request: CaseRequest, cache: ResultCache | None) -> dict[str, MethodMap]:
    """Give the maps that were drawn when this case was scored, by spec."""
    scored = None if cache is None else cache.get(_scores_key(request))
    return {} if scored is None else {found.spec: found for found in scored.methods}


def draw_all(
    case: Case,
    prompts: PromptCache,
    methods: Sequence[Method],
    whole: Collection[str] | None = None,
    known: Mapping[str, MethodMap] = NONE_KNOWN,
) -> list[MethodMap | str]:
    """Draw up several maps side by side, in their order, or say why there is none.

    whole: specs of those that tell what they keep at every budget, None for all; the others are
    scored alone where they aren't nested, see `map_of`. known: maps that need not be drawn again.
    """

    def in_full(method: Method) -> bool:
        return whole is None or method.spec in whole

    def is_known(method: Method) -> bool:
        found = known.get(method.spec)
        return found is not None and (found.is_whole or not in_full(method))

    begun, missing = count(), [method for method in methods if not is_known(method)]

    def work(waiting: Iterator[Method]) -> Iterator[tuple[str, MethodMap | str]]:
        for method in waiting:
            report(Progress(next(begun), len(missing), "maps"))
            yield_turn()
            try:
                yield method.spec, map_of(method, case.size, prompts.prefix, in_full(method))
            except MethodUnavailable as error:
                yield method.spec, str(error)

    # first what takes long, so that no thread has to wait for it in the end
    long_first = sorted(missing, key=lambda method: LONGEST.index(method.where))
    maps = {**known, **dict(parallel(work, long_first, parallel_runs(case.vlm)))}
    return [maps[method.spec] for method in methods]


def _crops(case: Case) -> np.ndarray | None:
    """Tell which crop of the picture every token is from."""
    vision = case.vision
    if len(vision.grid.views) == 1:
        return None
    return vision.grid.patches[:, 0] // vision.output.hidden.shape[1]


def draw(request: CaseRequest, method: str, *, cache: ResultCache | None = None) -> MethodMap:
    """Draw up the map of one method: a slow one, or one with options such as "random?seed=3"."""
    return _draw(request, catalog.resolve(method).spec, cache=cache)


@use_case(
    cost=GpuCost(maps=True),
    cached=CachedAs(lambda request, spec: CacheKey("map", request.id, (spec,)), map_bytes),
)
def _draw(request: CaseRequest, spec: str, *, cache: ResultCache | None = None) -> MethodMap:
    return draw_case(open_case(request, cache), spec, cache)


def draw_case(case: Case, method: str, cache: ResultCache | None = None) -> MethodMap:
    """Like `draw`, for an open case."""
    prompts = PromptCache(case, lambda: full_run(case, cache).tokens)
    return map_of(catalog.resolve(method), case.size, prompts.prefix)


def _coarseness(case: Case) -> list[str]:
    """Tell that the picture was cut up less finely than the model could, if it was."""
    _, _, resolution = case.vlm.key.rpartition("@")
    said = RESOLUTIONS.get(resolution, ("", ""))[1]
    return [f"{said} Choose all pieces beside the model to see more."] if said else []


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
