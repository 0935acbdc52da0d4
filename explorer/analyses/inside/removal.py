"""Use case: the answer when all visual tokens leave before a layer, for every layer.

From where on the curve is flat, pruning inside the language model is free. Knows answers and the
method that withdraws every token; not pages.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from explorer.analyses.inside.records import Removal
from explorer.cases.answers import by_plan
from explorer.cases.cache import CacheKey, ResultCache
from explorer.cases.case import open_case
from explorer.cases.gpu import CachedAs, GpuCost, use_case
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many
from explorer.inference.prefill import PruningPlan
from explorer.methods.signals import Kept, Signals, Stage

METHOD = "vtw"  # all visual tokens leave before one layer, which a budget names


def removal_key(case: str) -> CacheKey:
    """Name the whole curve in the cache; case: its id."""
    return CacheKey("removal", case)


@use_case(
    cost=GpuCost(answers=33),
    cached=CachedAs(lambda request: removal_key(request.id), lambda found: 300 * len(found)),
)
def remove_by_layer(
    request: CaseRequest, *, cache: ResultCache | None = None
) -> Iterator[tuple[Removal, ...]]:
    """Answer with all visual tokens gone before layer 0, 1 and so on.

    Gives what is known so far, by layers, as often as an answer comes.
    """
    case = open_case(request, cache)
    n, n_layers = case.size.tokens, case.size.layers
    never_seen = by_plan(case, METHOD, 1, PruningPlan((Stage(0, 0),), _nobody), cache)
    found = {0: _removal(0, never_seen)}
    yield tuple(found.values())
    layer_of = {-(-n * layer // n_layers): layer for layer in range(1, n_layers)}
    specs = [(METHOD, budget) for budget in layer_of]
    for result in answer_many(request, specs, cache=cache):
        if result.answer is not None:
            layer = layer_of[result.budget]
            found[layer] = _removal(layer, result.answer)
            yield tuple(found[each] for each in sorted(found))


def _removal(layer: int, answer: Answer) -> Removal:
    return Removal(layer, answer.text, bool(answer.agrees), answer.p_full)


def _nobody(signals: Signals, stage: Stage) -> Kept:
    return Kept(torch.zeros(0, dtype=torch.long, device=signals.grid_position.device))
