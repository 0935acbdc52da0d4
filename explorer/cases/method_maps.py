"""What every method would keep at every budget: scores, orders, and sets for a ladder of budgets.

The page draws from these without asking again. Knows methods and the engine; not pictures, words
or pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from explorer.cases.records import BudgetPoint, MethodMap, StageMap
from explorer.inference.dry_run import SharedPrefix, dry_run
from explorer.inference.prefill import PruningPlan
from explorer.inference.sequence import StageOutcome
from explorer.methods.method import Method
from explorer.methods.signals import Kept, Signals, Size, Stage
from explorer.vlm.turns.current_run import clock

LADDER_LENGTH = 12
PrefixFor = Callable[[frozenset[str]], SharedPrefix]


def plan_of(method: Method, size: Size, budget: int) -> PruningPlan:
    """Turn a method and a mean budget into what the engine runs."""
    return PruningPlan(
        stages=tuple(method.schedule(size, budget)),
        choose=method.keep,
        needs=method.needs,
        renumber=method.positions == "renumber",
        decoding_neuron_mask=method.decoding_neuron_mask(),
    )


def alive(stages: Sequence[Stage], size: Size) -> np.ndarray:
    """Count the visual tokens that enter each layer, [L]; after a blank stage, those it leaves."""
    layers = np.full(size.layers, size.tokens, dtype=np.uint16)
    for stage in stages:
        if stage.wipe_cache:
            layers[stage.layer - 1] = stage.total
        else:
            layers[stage.layer :] = stage.total
    return layers


def cached(stages: Sequence[Stage], size: Size) -> np.ndarray:
    """Count the visual tokens that each layer's cache holds after the prefill, [L]."""
    layers = alive(stages, size)
    for stage in stages:
        if stage.cut_from is not None:
            cut = slice(stage.cut_from, stage.layer)
            layers[cut] = layers[cut].clip(max=stage.total)
    return layers


@lru_cache(maxsize=256)
def ladder(
    tokens: int, floor: int, per_octave: int, length: int = LADDER_LENGTH
) -> tuple[int, ...]:
    """Give about `length` round budgets, `per_octave` in every doubling, from the floor upwards."""
    steps = {round(2**i * (1 + j / per_octave)) for i in range(16) for j in range(per_octave)}
    below = [budget for budget in sorted(steps) if floor <= budget < tokens]
    return tuple(sorted({*below[-length:], tokens, *([floor] if floor > 1 else [])}))


def map_of(method: Method, size: Size, prefix: PrefixFor, budgets: bool = True) -> MethodMap:
    """Draw up one method's map; see `MethodMap`.

    budgets: False scores alone what is not nested, and runs its stages at no budget.
    """
    began, drawn_from = clock(), prefix(method.needs)
    if method.nested:
        found = _nested_map(method, size, drawn_from)
    else:
        found = _staged_map(method, size, drawn_from, budgets)
    return replace(found, seconds=clock() - began)


@lru_cache(maxsize=256)  # of 2 bytes a token, whatever the picture
def kept_by_budget(method: Method, size: Size) -> np.ndarray:
    """Tell how many tokens stay after a nested method's stage, by budget - 1; not to be changed."""
    keeps = np.zeros(size.tokens, np.uint16)
    for budget in range(method.floor(size), size.tokens + 1):
        keeps[budget - 1] = method.schedule(size, budget)[-1].keep
    keeps.flags.writeable = False
    return keeps


def _nested_map(method: Method, size: Size, prefix: SharedPrefix) -> MethodMap:
    """Score all tokens at the one stage, with nothing dropped before: it holds for any budget."""
    floor, layer = method.floor(size), method.schedule(size, size.tokens)[-1].layer
    signals = prefix.signals(layer)
    score, shares = method.score(signals), method.crop_shares(signals)
    return MethodMap(
        spec=method.spec,
        score=_numpy(score, np.float32),
        floor=floor,
        ladder=ladder(size.tokens, floor, 2),
        order=_numpy(torch.argsort(score, descending=True, stable=True), np.uint16),
        layer=layer,
        keeps=kept_by_budget(method, size),
        crop_shares=None if shares is None else (shares[0], _numpy(shares[1], np.float32)),
    )


def _staged_map(method: Method, size: Size, prefix: SharedPrefix, run: bool) -> MethodMap:
    """Run the stages at several budgets, since what one keeps says nothing about the next.

    run: False leaves that out.
    """
    floor = method.floor(size)
    # a point costs a run through the first layers where a method prunes inside the LLM
    per_octave, length = (4, 24) if method.where == "before the LLM" else (2, LADDER_LENGTH)
    budgets = ladder(size.tokens, floor, per_octave, length)
    rungs = ladder(size.tokens, floor, 2)
    reachable = method.reachable(size)
    if reachable:  # what lies between is no budget of this method
        budgets, rungs = _met(reachable, budgets), _met(reachable, rungs)
    if run:
        points = _budget_points(method, size, budgets, prefix)
        score = points[-1].stages[0].score
    else:
        first = method.schedule(size, budgets[-1])[0].layer
        points = None
        score = _numpy(method.score(prefix.signals(first)), np.float32)
    return MethodMap(
        spec=method.spec,
        score=score,
        floor=floor,
        ladder=rungs,
        points=points,
    )


def _met(reachable: Sequence[int], budgets: Sequence[int]) -> tuple[int, ...]:
    """Replace budgets by the largest reachable ones within them."""
    return tuple(sorted({max(each for each in reachable if each <= budget) for budget in budgets}))


def _budget_points(
    method: Method, size: Size, budgets: Sequence[int], prefix: SharedPrefix
) -> tuple[BudgetPoint, ...]:
    """Run a method's stages at several budgets and tell what became of every token."""
    scores: list[list[Tensor]] = []

    def watched(budget: int) -> PruningPlan:
        plan, seen = plan_of(method, size, budget), []
        scores.append(seen)

        def look(signals: Signals, stage: Stage) -> Kept:
            # before the language model every budget looks at the same signals
            seen.append(method.known_score(signals))
            return method.keep(signals, stage)

        return replace(plan, choose=look)

    found = dry_run(prefix, [watched(budget) for budget in budgets])
    return tuple(
        _budget_point(budget, size, outcomes, seen)
        for budget, outcomes, seen in zip(budgets, found, scores, strict=True)
    )


def _budget_point(
    budget: int, size: Size, outcomes: list[StageOutcome], scores: list[Tensor]
) -> BudgetPoint:
    # an optional stage may have let everybody stay
    happened = [
        o.stage for o in outcomes if not o.stage.optional or len(o.source_index) == o.stage.total
    ]
    return BudgetPoint(
        budget=budget,
        layers=alive(happened, size),
        cached=cached(happened, size),
        stages=tuple(
            stage_map(outcome, score) for outcome, score in zip(outcomes, scores, strict=True)
        ),
    )


def stage_map(outcome: StageOutcome, score: Tensor | None = None) -> StageMap:
    """Tell an outcome by the picture's tokens: who is kept, folded into whom, or gone.

    score: of the tokens that were alive when the stage began.
    """
    slot, source = outcome.alive_index, outcome.source_index
    token = torch.arange(len(slot), device=slot.device)
    # one more than there are tokens: who is gone, slot -1, stands at nobody's place
    at = torch.cat([source, source.new_full((1,), -1)])[slot]
    folded = (slot >= 0) & (at != token)
    holding = slot[folded].unique()  # merged tokens, but not [CLS], which stands for no patch
    number = source.new_zeros(len(source) + 1)
    number[holding] = torch.arange(1, len(holding) + 1, device=number.device)
    fate = torch.where(slot < 0, -1, torch.where(folded, number[slot], 0))
    extra = int((source < 0).sum()) - int((source[holding] < 0).sum())
    shown = None
    if score is not None:
        now = score.float()[outcome.alive_index_before.clamp(min=0)]
        shown = _numpy(torch.where(outcome.alive_index_before < 0, torch.nan, now), np.float32)
    return StageMap(
        layer=outcome.stage.layer,
        fate=_numpy(fate, np.int16),
        extra=extra,
        score=shown,
        centres=tuple(source[holding].tolist()),
        tower=outcome.tower or (),
    )


def _numpy(tensor: Tensor, dtype: type) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(dtype)
