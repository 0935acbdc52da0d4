"""What a method's answer becomes where its random chooses for it: for one thing, or for all else.

The sets that the two keep are exchanged on the patches of the thing that is asked about, or on all
others, at every stage and at the method's own layers, so that it can be told which of the two costs
the answer. Knows kept sets and cases; not what is read off the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from explorer.cases.answers import by_plan
from explorer.cases.batch_answers import AnswerSpec
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case
from explorer.cases.method_maps import plan_of
from explorer.cases.records import Answer
from explorer.inference.prefill import PruningPlan
from explorer.methods.catalog import resolve
from explorer.methods.signals import Kept


@dataclass(frozen=True)
class Swap:
    """The answers of a method when the patches of the thing, or all others, are its random's."""

    thing: Answer
    others: Answer


def swap(
    case: Case,
    spec: AnswerSpec,
    own: Answer,
    random: Answer,
    on_thing: np.ndarray,
    cache: ResultCache | None = None,
) -> Swap:
    """Answer twice from what two answers kept. on_thing [N]: the patches of the thing, bool.

    own, random: of the method and of its random, whose tokens leave at the same layers. Tokens that
    the method merges are left out. `ValueError` where one has more stages than the other.
    """
    method, budget = spec
    plan = plan_of(resolve(method), case.size, budget)
    kept = [[stage.fate == 0 for stage in answer.stages] for answer in (own, random)]

    def mixed(thing: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> Answer:
        sets = [np.where(on_thing, *pair) for pair in zip(thing, others, strict=True)]
        return by_plan(case, method, budget, from_sets(plan, sets), cache)

    mine, theirs = kept
    return Swap(thing=mixed(theirs, mine), others=mixed(mine, theirs))


def from_sets(plan: PruningPlan, sets: Sequence[np.ndarray]) -> PruningPlan:
    """Let exactly these tokens stay at the stages of a plan, merged ones none.

    sets: [N] bool for each stage, each within the one before.
    """
    stages = [
        replace(stage, keep=int(kept.sum()), merge=0)
        for stage, kept in zip(plan.stages, sets, strict=True)
    ]
    everybody = np.ones_like(sets[0])
    # the engine counts tokens among those that are still alive
    index = iter([np.flatnonzero(now[before]) for before, now in pairwise([everybody, *sets])])

    def choose(signals, stage) -> Kept:
        return Kept(torch.from_numpy(next(index)).to(signals.grid_position.device))

    return replace(plan, stages=tuple(stages), choose=choose)
