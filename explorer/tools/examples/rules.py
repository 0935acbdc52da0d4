"""Which scenes become examples: by rules, so that new weights find their own.

The page opens with a picture on which one sees what pruning is about: of the scenes from seed 0 on,
the first about whose middle (1) the full model is right, (2) most methods are still right at a
third of the tokens, (3) what the page shows first is right on most of its ladder and wrong
somewhere, so that the slider changes the answer, and (4) the answer turns wrong once the patches
of the thing that is asked for leave, and they alone. Others show an answer that is lost at a
third. Knows pico and what can be asked of it; not how an example is stored.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import count

import numpy as np

from explorer import analyses
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.method_maps import ladder
from explorer.cases.request import CaseRequest
from explorer.media.grid import touched
from explorer.methods.catalog import resolve
from explorer.metrics.fidelity import agrees
from explorer.pico.data import questions, scenes
from explorer.pico.data.questions import Question
from explorer.pico.data.scenes import Scene, Thing
from explorer.ui.examples import FIRST_METHOD

QUESTION = "what is in the middle ?"
MIDDLE = 4  # of the nine cells
FEWEST_THINGS = 4  # a picture with little else on it would not miss much
MOST = 0.75  # the share of methods, and of rungs, that must be right


def find_opening(seeds: Iterable[int] | None = None) -> tuple[int, str]:
    """Give the seed of the first scene that fits, and the line that says what one sees.

    seeds: where to look, default 0, 1, 2 and so on. `LookupError` if none of them fits.
    """
    for seed in count() if seeds is None else seeds:
        line = seen_on(scenes.make(seed))
        if line is not None:
            return seed, line
    raise LookupError("no scene among them is right at a third and wrong without the thing")


def seen_on(scene: Scene) -> str | None:
    """Say what one sees on a scene; None unless it fits the rule. Cheap questions come first."""
    asked = [thing for thing in scene.things if thing.cell == MIDDLE and thing.kind == "object"]
    if not asked or len(scene.things) < FEWEST_THINGS:
        return None
    request, cache = CaseRequest.make("pico", scene.image, QUESTION), ResultCache(64_000_000)
    truth = questions.truths(scene)[QUESTION]
    if not agrees(analyses.answer(request, cache=cache).text, truth):
        return None
    without = without_thing(request, asked[0], cache)
    if agrees(without, truth):
        return None
    tokens = analyses.count_tokens(request, cache=cache)
    rungs = [(FIRST_METHOD, budget) for budget in ladder(tokens, 1, 2)]
    if not MOST * len(rungs) <= _right(request, rungs, truth, cache)[0] < len(rungs):
        return None
    wanted = compared(request, tokens, cache)
    right, answered = _right(request, wanted, truth, cache)
    if right < MOST * answered:
        return None
    third = near_a_third(ladder(tokens, 1, 2), tokens)
    more = " (a few need more patches)" if any(budget > third for _, budget in wanted) else ""
    many = f"{right} of {answered} methods"
    return (
        f"With {third} of {tokens} patches {many} still say “{truth}”{more}. "
        f"Take away the patches of the {asked[0].name} alone, and the answer is “{without}”."
    )


def find_lost(kind: str, seeds: Iterable[int] | None = None) -> tuple[int, str]:
    """Give the first scene, and a question of a kind, that is lost at a third of the tokens.

    The full model is right, and what the page shows first is wrong. seeds, `LookupError`: as above.
    """
    for seed in count() if seeds is None else seeds:
        scene = scenes.make(seed)
        for asked in questions.sample(scene, random.Random(seed), 1, only=kind):
            if _is_lost(scene, asked):
                return seed, asked.text
    raise LookupError(f"no scene among them loses an answer of the kind {kind!r}")


def _is_lost(scene: Scene, asked: Question) -> bool:
    request, cache = CaseRequest.make("pico", scene.image, asked.text), ResultCache(64_000_000)
    if not agrees(analyses.answer(request, cache=cache).text, asked.answer):
        return False
    tokens = analyses.count_tokens(request, cache=cache)
    budget = near_a_third(ladder(tokens, 1, 2), tokens)
    pruned = analyses.answer(request, FIRST_METHOD, budget, cache=cache)
    return not agrees(pruned.text, asked.answer)


def near_a_third(budgets: Sequence[int], tokens: int) -> int:
    """Choose the budget nearest to a third of the tokens."""
    return min(budgets, key=lambda budget: abs(budget - tokens / 3))


def compared(request: CaseRequest, tokens: int, cache: ResultCache) -> list[tuple[str, int]]:
    """List the methods that the tab "Compare" counts, each at its own budget nearest to a third.

    Those are all but the slow ones, which have no map before somebody asks, and the baselines.
    """
    return [
        (found.spec, near_a_third(found.ladder, tokens))
        for found in analyses.analyse(request, cache=cache).methods
        if not resolve(found.spec).card.is_baseline
    ]


def without_thing(request: CaseRequest, thing: Thing, cache: ResultCache) -> str:
    """Answer from all patches but those that a thing lies on, which keep their positions."""
    on_it = touched(open_case(request, cache).vision.grid.boxes, thing.box)
    kept = np.flatnonzero(~on_it).tolist()
    return analyses.answer_from_tokens(request, kept, cache=cache).text


def _right(
    request: CaseRequest, specs: list[tuple[str, int]], truth: str, cache: ResultCache
) -> tuple[int, int]:
    """Count the right answers, and all."""
    results = analyses.answer_many(request, specs, cache=cache)
    verdicts = [agrees(r.answer.text, truth) for r in results if r.answer is not None]
    return sum(verdicts), len(verdicts)
