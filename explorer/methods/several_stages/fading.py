"""Fading out: from the middle of the language model on, fewer tokens in every layer, down to none.

AIM's schedule. Counts only: knows neither scores nor models. L layers, N visual tokens.
"""

from __future__ import annotations

from explorer.methods.inside_llm import token_schedule
from explorer.methods.ops.bisection import largest
from explorer.methods.signals import Size


def layers(size: Size) -> list[int]:
    """List the layers that tokens leave before, at the published depths: 15 to 22 of 28."""
    first, steps = _span(size)
    return token_schedule.places(size, range(first + 1, first + steps + 1))


def entering(size: Size, budget: int, merging: bool) -> list[int]:
    """Give the tokens that enter every layer, so that their mean is the budget, [L].

    merging: fewer may enter the first one. Where that is not enough, or not allowed, the layer
    moves behind which the first ones leave, which is ours.
    """
    first, steps = _span(size)
    tokens = round(budget * size.layers / sum(_rates(size, first)))
    if merging and tokens < size.tokens:
        return _entering(size, max(1, tokens), first)
    start, most = 1 - steps, budget * size.layers

    def spent(moved: float) -> int:
        return sum(_entering(size, size.tokens, start + moved))

    return _entering(size, size.tokens, start + largest(spent, most, size.layers - start))


def _span(size: Size) -> tuple[int, int]:
    """Give the first layer behind which tokens leave, 14 of 28, and the number of steps, 8."""
    first = round(size.layers / 2)
    return first, max(1, round(22 / 28 * size.layers) - first)


def _rates(size: Size, first: float) -> list[float]:
    """Give the share of the tokens that enters each layer, [L]: one step less behind `first`."""
    _, steps = _span(size)
    return [min(1.0, max(0.0, 1 - (layer - first) / steps)) for layer in range(size.layers)]


def _entering(size: Size, tokens: int, first: float) -> list[int]:
    return [tokens, *(int(tokens * rate) for rate in _rates(size, first)[1:])]
