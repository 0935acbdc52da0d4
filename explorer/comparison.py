"""All methods on the same picture at the same budget: who keeps what, who still answers the same.

Pure functions: records in and out. Three baselines are always among the methods, and `random` is
drawn several times, so that a method that loses to chance is seen to lose. Knows methods, maps and
answers; not pages. Letters: M methods, N visual tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from explorer import methods as known_methods
from explorer import together
from explorer.analysis import analyse, draw
from explorer.answers import check_budget
from explorer.cases import Source
from explorer.families import Vlm
from explorer.memory import Memory
from explorer.results import Analysis, Answer, Chance, Compared, Comparison, MethodMap

BASELINES = ("random", "uniform", "pool")
DRAWS = tuple(
    f"random?seed={seed}" if number else "random"
    for number, seed in enumerate(known_methods.find("random").OPTIONS["seed"])
)
PHRASE = 8  # tokens; the probability of a longer answer is told per token
MEMORY_BYTES = 64_000_000  # of one comparison whose caller has no memory


def compare(
    model: str | Vlm,
    image: Source,
    question: str,
    budget: int,
    methods: Sequence[str] | None = None,
    memory: Memory | None = None,
) -> Comparison:
    """Let methods answer at one mean budget and measure how far they agree.

    methods: specs such as "fastv", "fopru:row" or "hired?alpha=0.25"; None for all but the slow
    ones. `random`, `uniform` and `pool` are always among them. A method whose floor is above the
    budget runs at its floor, and is marked. Raises `VisitorError` with one clear sentence.
    """
    memory = Memory(MEMORY_BYTES) if memory is None else memory
    for spec in methods or ():
        known_methods.resolve(spec)
    analysis = analyse(model, image, question, memory)
    n = analysis.grid.count
    check_budget(budget, n)
    maps = _maps((model, image, question), analysis, methods, memory)
    wanted = [(found.spec, max(budget, found.floor)) for found in maps]
    wanted += [(spec, budget) for spec in DRAWS]
    told = {
        (each.method, each.budget): each
        for each in together.answers(model, image, question, wanted, memory)
    }
    random = chance([told[spec, budget].answer for spec in DRAWS], analysis.full)
    compared = tuple(
        _compared(found, budget, told[found.spec, max(budget, found.floor)], analysis.full, random)
        for found in maps
    )
    return Comparison(
        case=analysis.id,
        budget=budget,
        tokens=n,
        full=analysis.full,
        per_token=is_long(analysis.full),
        methods=compared,
        random=random,
        jaccard=jaccard([each.kept for each in compared], n),
        spearman=spearman(np.stack([each.score for each in compared])),
        disputed=disputed([each.kept for each in compared if each.method not in BASELINES], n),
        notes=analysis.notes,
    )


def _maps(
    case: tuple[str | Vlm, Source, str],
    analysis: Analysis,
    methods: Sequence[str] | None,
    memory: Memory,
) -> list[MethodMap]:
    """Collect the maps of the chosen methods, baselines first; what is not there yet is drawn."""
    ready = {found.spec: found for found in analysis.methods}
    if methods is None:
        return list(ready.values())
    specs = dict.fromkeys([*BASELINES, *methods])
    return [ready[s] if s in ready else draw(*case, s, memory) for s in specs]


def _compared(
    found: MethodMap, budget: int, told: together.Told, full: Answer, random: Chance
) -> Compared:
    answer = told.answer
    likely = None if answer is None else likeness(answer, full)
    judged = answer is not None and found.spec != "random"
    return Compared(
        method=found.spec,
        budget=told.budget,
        reached=told.budget == budget,
        score=found.score,
        kept=np.empty(0, np.int64) if answer is None else answer.stages[-1].kept,
        known=told.known,
        answer=answer,
        likeness=likely,
        worse=is_worse(likely, random.likeness) if judged else None,
        error=told.error,
    )


def is_long(full: Answer) -> bool:
    """Tell whether an answer is longer than a phrase."""
    return len(full.tokens) > PHRASE


def likeness(answer: Answer, full: Answer) -> float:
    """Give the probability of the full answer in a pruned run; per token if it is a long one.

    A product of many probabilities is close to 0 whatever a method does; its geometric mean per
    token is not. Our definition.
    """
    if not is_long(full):
        return float(answer.p_full)
    tokens = len(full.tokens) + 1  # and the end
    return math.exp(math.log(max(full.p_full, 1e-300)) / tokens - answer.drop)


def is_worse(likely: float, than: float) -> bool:
    """Tell whether a probability is smaller at the two digits that are shown."""
    return round(likely, 2) < round(than, 2)


def chance(draws: Sequence[Answer], full: Answer) -> Chance:
    """Sum up several draws of random."""
    likely = np.array([likeness(answer, full) for answer in draws])
    return Chance(
        draws=tuple(draws),
        likeness=float(likely.mean()),
        spread=float(likely.std(ddof=1)) if len(likely) > 1 else 0.0,
        same=float(np.mean([answer.same for answer in draws])),
    )


def _marks(kept: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Write kept sets as rows of zeros and ones, [M, N]."""
    marks = np.zeros((len(kept), n), dtype=np.int64)
    for row, index in zip(marks, kept, strict=True):
        row[index] = 1
    return marks


def jaccard(kept: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Give |A n B| / |A u B| of every two kept sets, [M, M]; NaN where one of them is empty."""
    marks = _marks(kept, n)
    both, sizes = marks @ marks.T, marks.sum(1)
    either = sizes[:, None] + sizes[None] - both
    empty = (sizes[:, None] == 0) | (sizes[None] == 0)
    return np.where(empty, np.nan, both / np.maximum(either, 1))


def disputed(kept: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Count how many of the kept sets hold each patch, [N]."""
    return _marks(kept, n).sum(0)


def ranks(values: np.ndarray) -> np.ndarray:
    """Give every value its place, from 1 for the smallest; equal ones share the mean place."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def spearman(scores: np.ndarray) -> np.ndarray:
    """Give the rank correlation of every two rows of scores [M, N], [M, M]; NaN for a flat row."""
    centred = np.stack([ranks(row) for row in scores])
    centred -= centred.mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1))
    flat = (length[:, None] == 0) | (length[None] == 0)
    scale = np.where(flat, 1, length[:, None] * length[None])
    return np.where(flat, np.nan, (centred @ centred.T / scale).clip(-1, 1))
