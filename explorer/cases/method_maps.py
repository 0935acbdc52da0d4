"""What every method would keep at every budget: scores, orders, and sets for a ladder of budgets.

The page draws from these without asking again. Knows methods and the engine; not pictures, words
or pages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from explorer.cases.records import BudgetPoint, MethodMap, StageMap
from explorer.inference.dry_run import SharedPrefix, dry_run
from explorer.inference.prefill import PruningPlan
from explorer.inference.sequence import Prompt, StageOutcome
from explorer.methods.signals import Kept, Signals, Size, Stage
from explorer.vlm.components import Decoder

LADDER_LENGTH = 12
PromptFor = Callable[[frozenset[str]], Prompt]


def renumbers(method: ModuleType, options: dict) -> bool:
    """Tell whether a method counts the positions of those that stay anew."""
    positions = getattr(method, "positions", lambda **_: method.POSITIONS)(**options)
    return positions == "renumber"


def plan_of(method: ModuleType, options: dict, size: Size, budget: int) -> PruningPlan:
    """Turn a method and a mean budget into what the engine runs."""
    return PruningPlan(
        stages=tuple(method.schedule(size, budget, **options)),
        choose=lambda signals, stage: method.keep(signals, stage, **options),
        needs=method.NEEDS,
        renumber=renumbers(method, options),
        core=getattr(method, "decoding_neurons", lambda **_: None)(**options),
    )


def alive(stages: Sequence[Stage], size: Size) -> np.ndarray:
    """Count the visual tokens that enter each layer, [L]; after a blank stage, those it leaves."""
    layers = np.full(size.layers, size.tokens, dtype=np.uint16)
    for stage in stages:
        if stage.blank:
            layers[stage.layer - 1] = stage.total
        else:
            layers[stage.layer :] = stage.total
    return layers


def ladder(tokens: int, floor: int, per_octave: int, length: int = LADDER_LENGTH) -> list[int]:
    """Give about `length` round budgets, `per_octave` in every doubling, from the floor upwards."""
    steps = {round(2**i * (1 + j / per_octave)) for i in range(16) for j in range(per_octave)}
    below = [budget for budget in sorted(steps) if floor <= budget < tokens]
    return sorted({*below[-length:], tokens, *([floor] if floor > 1 else [])})


def map_of(
    spec: str, method: ModuleType, options: dict, size: Size, decoder: Decoder, prompt: PromptFor
) -> MethodMap:
    """Draw up one method's map; see `MethodMap`."""
    began = time.perf_counter()
    floor = method.floor(size, **options)
    # Knots cost a run through the first layers each where a method prunes inside the LLM.
    per_octave, length = (4, 24) if method.WHERE == "before the LLM" else (2, LADDER_LENGTH)
    found: dict[str, object] = {}
    trunk = SharedPrefix(decoder, prompt(method.NEEDS), method.NEEDS)
    if method.NESTED:
        score, layer, portions = _score_once(method, options, size, trunk)
        order = torch.argsort(score, descending=True, stable=True)
        keeps = np.full(size.tokens, 0, dtype=np.uint16)
        for budget in range(floor, size.tokens + 1):
            keeps[budget - 1] = method.schedule(size, budget, **options)[-1].keep
        found = {"order": _numpy(order, np.uint16), "keeps": keeps, "layer": layer}
        found["portions"] = portions and (portions[0], _numpy(portions[1], np.float32))
    else:
        knots = _budget_points(
            method, options, size, ladder(size.tokens, floor, per_octave, length), trunk
        )
        score = torch.from_numpy(knots[-1].stages[0].score)
        found = {"knots": knots}
    return MethodMap(
        spec=spec,
        score=_numpy(score, np.float32),
        floor=floor,
        ladder=tuple(ladder(size.tokens, floor, 2)),
        seconds=time.perf_counter() - began,
        **found,
    )


def _score_once(
    method: ModuleType, options: dict, size: Size, trunk: SharedPrefix
) -> tuple[Tensor, int, tuple[float, Tensor] | None]:
    """Score all tokens at a nested method's one stage, with nothing dropped before it.

    Gives also its layer, and how crops share the budget where the method can tell.
    """
    layer = method.schedule(size, size.tokens, **options)[-1].layer
    seen, told = [], getattr(method, "portions", lambda _, **__: None)

    def look(signals: Signals, stage: Stage) -> Kept:
        seen.append((method.score(signals, **options), layer, told(signals, **options)))
        return Kept(torch.arange(signals.count, device=signals.place.device))

    dry_run(trunk, [PruningPlan((Stage(layer, size.tokens),), look, method.NEEDS)])
    return seen[0]


def _budget_points(
    method: ModuleType, options: dict, size: Size, budgets: Sequence[int], trunk: SharedPrefix
) -> tuple[BudgetPoint, ...]:
    """Run a method's stages at several budgets and tell what became of every token."""
    scores: list[list[Tensor]] = []

    def watched(budget: int) -> PruningPlan:
        plan, seen = plan_of(method, options, size, budget), []
        scores.append(seen)

        def look(signals: Signals, stage: Stage) -> Kept:
            seen.append(method.score(signals, **options))
            return plan.choose(signals, stage)

        return replace(plan, choose=look)

    found = dry_run(trunk, [watched(budget) for budget in budgets])
    return tuple(
        _budget_point(budget, size, outcomes, seen)
        for budget, outcomes, seen in zip(budgets, found, scores, strict=True)
    )


def _budget_point(
    budget: int, size: Size, outcomes: list[StageOutcome], scores: list[Tensor]
) -> BudgetPoint:
    # an optional stage may have let everybody stay
    happened = [o.stage for o in outcomes if not o.stage.optional or len(o.itself) == o.stage.total]
    return BudgetPoint(
        budget=budget,
        layers=alive(happened, size),
        stages=tuple(
            stage_map(outcome, score) for outcome, score in zip(outcomes, scores, strict=True)
        ),
    )


def stage_map(outcome: StageOutcome, score: Tensor | None = None) -> StageMap:
    """Tell an outcome by the picture's tokens: who is kept, folded into whom, or gone.

    score: of the tokens that were alive when the stage began.
    """
    slot, itself = outcome.slot, outcome.itself
    merged = (itself < 0).nonzero()[:, 0]
    number = itself.new_zeros(len(itself) + 1)  # one more, since nobody may be left
    holding = merged[torch.isin(merged, slot)]  # not [CLS], which stands for no patch
    number[holding] = torch.arange(1, len(holding) + 1, device=number.device)
    fate = torch.where(slot < 0, -1, number[slot.clamp(min=0)])
    shown = None
    if score is not None:
        now = score.float()[outcome.before.clamp(min=0)]
        shown = _numpy(torch.where(outcome.before < 0, torch.nan, now), np.float32)
    extra = len(merged) - len(holding)
    return StageMap(
        layer=outcome.stage.layer,
        fate=_numpy(fate, np.int16),
        extra=extra,
        score=shown,
    )


def _numpy(tensor: Tensor, dtype: type) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(dtype)
