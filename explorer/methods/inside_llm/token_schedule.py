"""Staircases: how many visual tokens each layer sees when a method prunes inside the LLM.

The arithmetic that turns a mean over the layers into stages, and the base class of the methods
that share it. Counts only: knows neither scores nor models.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import ClassVar

from explorer.errors import BadBudget
from explorer.methods.method import Method
from explorer.methods.ops.bisection import largest
from explorer.methods.signals import Size, Stage


def places(size: Size, asked: Iterable[int]) -> list[int]:
    """Move layers that coincide one on, and leave out those that this model does not have.

    No stage stands before layer 1: the first layer sees every token.
    """
    found: list[int] = []
    for layer in asked:
        found.append(max(layer, found[-1] + 1 if found else 1))
    return [layer for layer in found if layer < size.layers]


def untouched(size: Size, layers: list[int]) -> list[Stage]:
    """Give the staircase without a step: one stage that keeps every token."""
    return [Stage(layers[0] if layers else 1, size.tokens)]


def steps(
    size: Size,
    layers: list[int],
    counts: Iterable[float],
    merged: Callable[[int], int] = lambda dropped: 0,
) -> list[Stage]:
    """Keep `counts` tokens from each of the layers on, at least one; no step that saves nothing.

    Counts are cut off, not rounded, as int(N * ratio) is in the official codes. merged: how many
    merged tokens a stage makes of the tokens that it drops.
    """
    stages, alive = [], size.tokens
    for layer, count in zip(layers, counts, strict=False):
        keep = max(1, int(count + 1e-6))  # the share solved for may be a hair too small
        if keep < alive and keep + merged(alive - keep) < alive:
            stages.append(Stage(layer, keep, merged(alive - keep)))
            alive = stages[-1].total
    return stages or untouched(size, layers)


def between(tokens: int, lists: Sequence[Sequence[float]], x: float) -> list[int]:
    """Mix two neighbouring lists of shares of the tokens: the first at 0, the last at 1."""
    at = min(int(x * (len(lists) - 1)), len(lists) - 2)
    share = x * (len(lists) - 1) - at
    pairs = zip(lists[at], lists[at + 1], strict=True)
    return [round(tokens * (less + share * (more - less))) for less, more in pairs]


def mean(size: Size, stages: list[Stage]) -> float:
    """Average the visual tokens that enter a layer over all layers."""
    starts = [0, *(stage.layer for stage in stages)]
    ends = [*starts[1:], size.layers]
    totals = [size.tokens, *(stage.total for stage in stages)]
    spans = zip(starts, ends, totals, strict=True)
    return sum((end - start) * total for start, end, total in spans) / size.layers


def solve(rising: Callable[[float], float], target: float) -> float:
    """Find the x in 0..1 at which a rising curve, possibly of small steps, is next to a target."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return min((high, low), key=lambda x: abs(rising(x) - target))


def within(
    size: Size, budget: int, layers: list[int], counts: Callable[[float], Sequence[int]]
) -> list[Stage]:
    """Give the staircase counts(x) with the largest mean within the budget, and hand out the rest.

    counts: the tokens alive from each of the layers on, rising with x in 0..1.
    """
    most = budget * size.layers - sum(_spans(size, layers)[:1]) * size.tokens

    def spent(x: float) -> int:
        pairs = zip(_spans(size, layers)[1:], counts(x), strict=False)
        return sum(span * count for span, count in pairs)

    return hand_out(size, budget, layers, counts(largest(spent, most)))


def hand_out(size: Size, budget: int, layers: list[int], counts: Sequence[int]) -> list[Stage]:
    """Raise counts of tokens alive from each of the layers on until their mean is the budget.

    What is left goes to the last step, as far as the one before allows, then to that one.
    """
    first, *spans = _spans(size, layers)
    alive = [size.tokens, *counts[: len(spans)]]
    rest = budget * size.layers - first * size.tokens
    rest -= sum(span * count for span, count in zip(spans, alive[1:], strict=True))
    given = True
    while given:
        given = 0
        for at in reversed(range(1, len(alive))):
            more = max(0, min(rest // spans[at - 1], alive[at - 1] - alive[at]))
            alive[at], rest, given = alive[at] + more, rest - more * spans[at - 1], given + more
    return steps(size, layers, alive[1:])


def _spans(size: Size, layers: list[int]) -> list[int]:
    """Count the layers before the first stage, between the stages and behind the last one."""
    return [end - start for start, end in pairwise([0, *layers, size.layers])]


def fit(
    size: Size, budget: int, at: Callable[[float], list[Stage]], known: Iterable[float] = ()
) -> list[Stage]:
    """Choose among the staircases at(0), the smallest, to at(1) the one whose mean is the budget.

    known: where the published ones are; one of them is taken if it is half a token off.
    """
    for x in known:
        if abs(mean(size, at(x)) - budget) <= 0.5:
            return at(x)
    return at(solve(lambda x: mean(size, at(x)), budget))


class InsideLLM(Method):
    """A method whose first layers see every visual token, and later ones fewer.

    A budget is the mean over all layers, so it has a floor: what the first layers alone come to.
    """

    where = "inside the LLM"

    @abstractmethod
    def layers(self, size: Size) -> list[int]:
        """List the layers before which tokens leave at the published budget."""

    @abstractmethod
    def smallest(self, size: Size) -> list[Stage]:
        """Give the stages of the smallest mean."""

    @abstractmethod
    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Give the stages whose mean is a budget, from the floor up to all tokens but one."""

    def floor(self, size: Size) -> int:
        """Give the mean of the smallest stages, rounded up."""
        return math.ceil(mean(size, self.smallest(size)) - 1e-9)

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Give the stages of a budget; the whole one has a single stage that keeps every token."""
        least = self.floor(size)
        if budget < least:
            first = min(self.smallest(size)[0].layer, size.layers)
            raise BadBudget(
                f"{self.card.title} shows all {size.tokens} visual tokens to its first layers "
                f"({first} of {size.layers}), so its mean can't be smaller than {least} tokens "
                f"here; {budget} is too small."
            )
        if budget == size.tokens:
            return untouched(size, self.layers(size))
        return self.stages(size, budget)


def behind(size: Size, layer: int, budget: int) -> int:
    """Give the k tokens, one at least, that layer K and all later ones see for a mean budget.

    Solves T = (K N + (L - K) k) / L.
    """
    return max(1, round((budget * size.layers - layer * size.tokens) / (size.layers - layer)))


class OneStep(InsideLLM):
    """A method all of whose tokens leave before one layer K, `layer`."""

    layer: ClassVar[int]

    def layers(self, size: Size) -> list[int]:
        """Give K alone."""
        return [self.layer]

    def smallest(self, size: Size) -> list[Stage]:
        """A single visual token is left after the first layers."""
        return [Stage(min(self.layer, size.layers), 1)]

    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Give the one step, see `behind`."""
        return [Stage(self.layer, behind(size, self.layer, budget))]
