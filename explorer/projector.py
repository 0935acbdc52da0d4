"""The projector by itself, in float32: what it makes of patches, and how nudges come out of it.

Half precision would lose the small nudges of finite differences. Knows modules; not towers or
pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import linear


def project(projector: nn.Module, dtype: torch.dtype, x: Tensor) -> Tensor:
    """Map [..., joins * Dv] to [..., D] in float32; dtype: the weights' own."""
    return _exactly(projector, dtype, x)


def differ(
    projector: nn.Module,
    chain: Sequence[nn.Module],
    dtype: torch.dtype,
    x: Tensor,
    nudge: Tensor,
) -> Tensor:
    """Give project(x + nudge) - project(x - nudge), faster where the projector is a chain.

    chain: its layers one behind the other, the last of them linear; empty if it is none.
    """
    if chain:
        return _exactly(_Chain(chain), dtype, x, nudge)
    return _exactly(projector, dtype, x + nudge) - _exactly(projector, dtype, x - nudge)


class _Chain(nn.Module):
    """How far apart two inputs come out of a projector whose last layer is linear.

    That layer is passed once, with the difference, and by a first linear one the nudges pass for
    all tokens together: of a two-layer projector a fifth of the work of two projections is left.
    """

    def __init__(self, layers: Sequence[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, nudge: Tensor) -> Tensor:
        """Give project(x + nudge) - project(x - nudge)."""
        first, *between = self.layers[:-1] or [nn.Identity()]
        if isinstance(first, nn.Linear):
            here, step = first(x), linear(nudge, first.weight)
            above, below = here + step, here - step
        else:
            above, below = first(x + nudge), first(x - nudge)
        for layer in between:
            above, below = layer(above), layer(below)
        return linear(above - below, self.layers[-1].weight)


def _exactly(module: nn.Module, dtype: torch.dtype, *inputs: Tensor) -> Tensor:
    inputs = tuple(x.float() for x in inputs)
    if dtype == torch.float32:
        return module(*inputs)
    weights = {name: weight.float() for name, weight in module.state_dict().items()}
    return functional_call(module, weights, inputs)
