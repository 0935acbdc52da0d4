"""Use case: the answer when all visual tokens leave before a layer, for every layer.

From where on the curve is flat, pruning inside the language model is free. Knows answers and the
method that withdraws every token; not pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from explorer.analyses.inside.records import Removal
from explorer.cases.answers import by_plan
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many, never
from explorer.inference.prefill import PruningPlan
from explorer.methods.signals import Kept, Signals, Stage

METHOD = "vtw"  # all visual tokens leave before one layer, which a budget names


@use_case(cost=GpuCost(answers=33))
def remove_by_layer(
    request: CaseRequest,
    *,
    cache: ResultCache | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[Removal]:
    """Answer with all visual tokens gone before layer 0, 1 and so on; gives one after the other.

    Layers come in the order in which their answers do. stop: asked between two steps.
    """
    case = open_case(request, cache)
    n, n_layers = case.size.tokens, case.size.layers
    never_seen = by_plan(case, METHOD, 1, PruningPlan((Stage(0, 0),), _nobody), cache)
    yield _removal(0, never_seen)
    layer_of = {-(-n * layer // n_layers): layer for layer in range(1, n_layers)}
    for result in answer_many(
        request, [(METHOD, each) for each in layer_of], cache=cache, stop=stop
    ):
        if result.answer is not None:
            yield _removal(layer_of[result.budget], result.answer)


def _removal(layer: int, answer: Answer) -> Removal:
    return Removal(layer, answer.text, bool(answer.agrees), answer.p_full)


def _nobody(signals: Signals, stage: Stage) -> Kept:
    return Kept(torch.zeros(0, dtype=torch.long, device=signals.grid_position.device))
