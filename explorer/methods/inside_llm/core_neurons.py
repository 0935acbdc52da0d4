"""Core neurons of an FFN: those that a token, or a group of tokens, activates most."""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.methods.observed import Neurons
from explorer.methods.signals import top


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
