"""Obtain signals from a running model: attention rows, keys and hidden states, in float32.

Models run with sdpa. A registered attention function calls sdpa for the output and, while a
listener is set for that very attention module in this very call, hands it the queries and keys.
Listeners live in a context variable, so two visitors never share them. Does not know what a
pruning method is, and never asks a model for `output_attentions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from explorer.inference.tower_layers import (
    OF_CLS,
    LayerSignals,
    cls_attention,
    joined_keys,
    mean_rows,
)
from explorer.methods.signals import Signals
from explorer.vlm.attention import record_attention
from explorer.vlm.components import Pixels, Tower
from explorer.vlm.tower.rerun import Rule, rerun_tower
from explorer.vlm.tower.views import one_by_one

OF_KEYS = frozenset({"cls_attention", "patch_attention", "patch_logits", "keys", "last_keys"})
"""Signals that come of the queries and keys of the layer that feeds the projector."""


@dataclass(frozen=True)
class VisionOutput:
    """What the vision tower made of one picture; every tower signal is derived from it.

    query, key [V, H, n (+1 with a [CLS]), d] of the layer that feeds the projector; of_layers:
    what was taken of single layers, by the name of the signal (see tower_layers.py);
    hidden [V, n, Dv] what the projector reads; cls_hidden [V, Dv] or None; features [N, D] the
    visual tokens, deepstack what is added to them later on; project maps [..., J * Dv] to [..., D],
    project_difference x and nudges to project(x + nudge) - project(x - nudge). rerun_tower runs the
    tower again by a rule, on the picture's pixels, which take pixel_bytes; None where it can't.
    """

    query: Tensor
    key: Tensor
    scaling: float
    of_layers: dict[str, Tensor]
    hidden: Tensor
    cls_hidden: Tensor | None
    features: Tensor
    deepstack: tuple[Tensor, ...]
    project: Callable[[Tensor], Tensor]
    project_difference: Callable[[Tensor, Tensor], Tensor]
    patches_per_token: int
    rerun_tower: Callable[[Rule], Tensor] | None = None
    pixel_bytes: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes that this picture holds in memory."""
        tensors = (self.query, self.key, self.hidden, self.cls_hidden, self.features)
        tensors += (*self.of_layers.values(), *self.deepstack)
        held = sum(t.numel() * t.element_size() for t in tensors if t is not None)
        return held + self.pixel_bytes


@torch.no_grad()
def encode_image(tower: Tower, pixels: Pixels) -> VisionOutput:
    """Run tower and projector once, listening to a few layers, above all to the projector's."""
    queries: list[Tensor] = []
    keys: list[Tensor] = []
    scaling = 1.0

    def record_qk(query: Tensor, key: Tensor, layer_scaling: float) -> None:
        nonlocal scaling
        queries.append(query)
        keys.append(key)
        scaling = layer_scaling

    can_rerun = bool(tower.layers) and "pixel_values_videos" not in pixels
    layers = LayerSignals(tower)
    layers.listen(tower.attention, record_qk)
    single = any(t.device.type == "cpu" for t in pixels.values())
    views = one_by_one(tower.viewer) if single else nullcontext()
    with record_attention(layers.listeners()), views:
        hidden_states, features, deepstack = tower.run(pixels)
    return VisionOutput(
        query=torch.cat(queries),  # a tower may look at one frame after the other
        key=torch.cat(keys),
        scaling=scaling,
        of_layers=layers.taken(),
        hidden=hidden_states[:, 1:] if tower.has_cls else hidden_states,
        cls_hidden=hidden_states[:, 0] if tower.has_cls else None,
        features=features,
        deepstack=deepstack,
        project=partial(project, tower.project, hidden_states.dtype),
        project_difference=partial(
            project_difference, tower.project, tower.projector_layers, hidden_states.dtype
        ),
        patches_per_token=tower.patches_per_token,
        rerun_tower=partial(rerun_tower, tower, pixels) if can_rerun else None,
        pixel_bytes=sum(t.numel() * t.element_size() for t in pixels.values()) if can_rerun else 0,
    )


def tower_signals(
    vision: VisionOutput,
    grid_position: Tensor,
    patches: Tensor,
    needs: frozenset[str],
    known: dict[str, object] | None = None,
) -> Signals:
    """Derive the named tower signals of one picture; what is not named stays None.

    grid_position [N, 3] and patches [N, P] come from the grid. known: what was derived of this
    picture before, by name; gets what is new.
    """
    known = {} if known is None else known
    wanted = needs | (_stand_ins(needs) if vision.cls_hidden is None else set())
    known |= _derived(vision, wanted - known.keys())
    named = {name: known[name] for name in wanted if name in known}
    return Signals(
        grid_position=grid_position,
        features=vision.features,
        patches=patches,
        patches_per_token=vision.patches_per_token,
        **named,
    )


def _derived(vision: VisionOutput, wanted: frozenset[str]) -> dict[str, object]:
    """Compute the signals that are wanted, as far as this tower has them."""
    has_cls = vision.cls_hidden is not None
    found: dict[str, object] = {
        name: taken for name, taken in vision.of_layers.items() if name in wanted
    }
    of_keys = (wanted & OF_KEYS) - found.keys()
    if of_keys:
        found |= _of_keys(
            vision.query.float(), vision.key.float(), vision.scaling, has_cls, of_keys
        )
    if "hidden" in wanted:
        found["hidden"] = vision.hidden.float()
    if "cls_hidden" in wanted and has_cls:
        found["cls_hidden"] = vision.cls_hidden.float().repeat(1, vision.patches_per_token)
    functions = wanted & {"rerun_tower", "project", "project_difference"}
    return found | {name: getattr(vision, name) for name in functions}


def _of_keys(
    query: Tensor, key: Tensor, scaling: float, has_cls: bool, wanted: frozenset[str]
) -> dict[str, Tensor]:
    """Compute what comes of the queries and keys of the layer that feeds the projector."""
    first, found = int(has_cls), {}
    if "cls_attention" in wanted and has_cls:
        found["cls_attention"] = cls_attention(query, key, scaling)
    rows = wanted & {"patch_attention", "patch_logits"}
    if rows:
        of_patches = mean_rows(query[:, :, first:], key, scaling, rows)
        found |= {name: attended[..., first:] for name, attended in of_patches}
    if "keys" in wanted:
        found["keys"] = key[:, :, first:].mean(1)
    if "last_keys" in wanted:
        found["last_keys"] = joined_keys(query, key[:, :, first:], scaling)
    return found


def _stand_ins(needs: frozenset[str]) -> frozenset[str]:
    """Name what methods look at in place of the rows of a [CLS] that the tower doesn't have."""
    rows = needs & {"cls_attention", *OF_CLS}
    logits = {"patch_logits"} if "last_cls_logits" in rows else set()
    return frozenset(logits | ({"patch_attention"} if rows - {"last_cls_logits"} else set()))


def project(projector: nn.Module, dtype: torch.dtype, x: Tensor) -> Tensor:
    """Map [..., J * Dv] to [..., D] in float32; dtype: the weights' own."""
    return _in_float32(projector, dtype, x)


def project_difference(
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
        return _in_float32(_ChainDifference(chain), dtype, x, nudge)
    return _in_float32(projector, dtype, x + nudge) - _in_float32(projector, dtype, x - nudge)


class _ChainDifference(nn.Module):
    """How far apart two inputs come out of a projector whose last layer is linear.

    That layer is passed once, with the difference, and by a first linear one the nudges pass for
    all tokens together: of a two-layer projector a fifth of the work of two projections is left.
    Where it is the only layer the input makes no difference: then the nudges alone pass.
    """

    def __init__(self, layers: Sequence[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, nudge: Tensor) -> Tensor:
        """Give project(x + nudge) - project(x - nudge)."""
        if len(self.layers) == 1:
            apart = linear(2 * nudge, self.layers[0].weight)
            return apart.expand(*torch.broadcast_shapes(x.shape, nudge.shape)[:-1], -1)
        first, *between = self.layers[:-1]
        if isinstance(first, nn.Linear):
            outputs, step = first(x), linear(nudge, first.weight)
            above, below = outputs + step, outputs - step
        else:
            above, below = first(x + nudge), first(x - nudge)
        for layer in between:
            above, below = layer(above), layer(below)
        return linear(above - below, self.layers[-1].weight)


def _in_float32(module: nn.Module, dtype: torch.dtype, *inputs: Tensor) -> Tensor:
    """Run a module in float32: on a copy, for another thread may be running the module itself."""
    inputs = tuple(x.float() for x in inputs)
    if dtype == torch.float32:
        return module(*inputs)
    weights = {id(each): each.float() for each in (*module.parameters(), *module.buffers())}
    return deepcopy(module, weights)(*inputs)
