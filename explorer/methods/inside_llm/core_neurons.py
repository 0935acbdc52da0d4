"""Core neurons of an FFN: those that a token, or a group of tokens, activates most."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from explorer.methods.signals import Neurons, top


def core(neurons: Neurons, rho: float, beta: float) -> Tensor:
    """Give the core neurons of a prompt, [I] true for the share beta of all neurons.

    Every token names its strongest neurons, the share rho of those that are active in it; the core
    are the neurons named most often. Numbers are rounded down, of equals the lowest index wins.
    """
    values = neurons.values.clamp(min=0)
    named = ((values > 0).sum(1, keepdim=True) * rho).floor()
    rank = values.argsort(dim=1, descending=True, stable=True).argsort(1)
    times = (rank < named).sum(0)  # f_rho(n)
    chosen = torch.zeros_like(times, dtype=torch.bool)
    chosen[top(times, max(1, int(beta * len(times))))] = True
    return chosen


def decoding_neurons(
    *, neurons: str = "all", rho: float = 0.4, beta: float = 0.2, **_
) -> Callable[[Neurons], Tensor] | None:
    """Give what chooses a layer's neurons for decoding, or None to use all of them."""
    return None if neurons == "all" else lambda seen: core(seen, rho, beta)


def elbow(scores: Tensor) -> int:
    """Count the tokens above the elbow of the falling scores [N].

    The elbow is the point of the curve that is farthest from the chord between its ends, on either
    side; if all scores are equal, none is above it.
    """
    curve = scores.double().sort(descending=True).values
    place = torch.arange(len(curve), device=curve.device)
    height = (curve - curve[0]) * (len(curve) - 1) - (curve[-1] - curve[0]) * place
    return int((curve > curve[height.abs().argmax()]).sum())
