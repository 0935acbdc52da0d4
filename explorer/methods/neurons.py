"""Core neurons: the neurons of an FFN that are strong in the most tokens of a prompt.

The step that CoreMatching takes over from CoreInfer (Wang et al., arXiv 2410.18311), by its text; a
public copy of that one's code (Huzifa1/CoreInfer, common.py) lets all tokens name equally many.
Does not know what the neurons are used for.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from explorer.signals import Neurons, top


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
