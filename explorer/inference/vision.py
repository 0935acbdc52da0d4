"""Obtain signals from a running model: attention rows, keys and hidden states, in float32.

Models run with sdpa. A registered attention function calls sdpa for the output and, while a
listener is set for that very attention module in this very call, hands it the queries and keys.
Listeners live in a context variable, so two visitors never share them. Does not know what a
pruning method is, and never asks a model for `output_attentions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import linear

from explorer.inference.attention_weights import MAX_ATTENTION_ELEMENTS
from explorer.methods.signals import Signals
from explorer.vlm.attention import QkListener, record_attention
from explorer.vlm.components import Pixels, Tower

OTHER_CLS_ROWS = ("first_cls_attention", "early_cls_attention", "last_cls_attention")


@dataclass(frozen=True)
class VisionOutput:
    """What the vision tower made of one picture; every tower signal is derived from it.

    query, key [V, H, n (+1 with a [CLS]), d] of the layer that feeds the projector; cls_rows:
    attention of [CLS] to the patches in other layers, [V, H, n], by the name of the signal;
    hidden [V, n, Dv] what the projector reads; cls_hidden [V, Dv] or None; features [N, D] the
    visual tokens, deepstack what is added to them later on; project maps [..., J * Dv] to [..., D],
    project_difference x and nudges to project(x + nudge) - project(x - nudge).
    """

    query: Tensor
    key: Tensor
    scaling: float
    cls_rows: dict[str, Tensor]
    hidden: Tensor
    cls_hidden: Tensor | None
    features: Tensor
    deepstack: tuple[Tensor, ...]
    project: Callable[[Tensor], Tensor]
    project_difference: Callable[[Tensor, Tensor], Tensor]
    patches_per_token: int

    @property
    def nbytes(self) -> int:
        """Bytes that this picture holds in memory."""
        tensors = (self.query, self.key, self.hidden, self.cls_hidden, self.features)
        tensors += (*self.cls_rows.values(), *self.deepstack)
        return sum(t.numel() * t.element_size() for t in tensors if t is not None)


@torch.no_grad()
def encode_image(tower: Tower, pixels: Pixels) -> VisionOutput:
    """Run tower and projector once, listening to a few layers, above all to the projector's."""
    cls_rows: dict[str, Tensor] = {}
    queries: list[Tensor] = []
    keys: list[Tensor] = []
    scaling = 1.0

    def record_qk(query: Tensor, key: Tensor, layer_scaling: float) -> None:
        nonlocal scaling
        queries.append(query)
        keys.append(key)
        scaling = layer_scaling

    def cls_listener(attention: nn.Module) -> QkListener:
        def record_cls(query: Tensor, key: Tensor, layer_scaling: float) -> None:
            row = _cls_attention(query, key, layer_scaling)
            cls_rows.update({name: row for name, one in named.items() if one is attention})
            if tower.attention is attention:
                record_qk(query, key, layer_scaling)

        return record_cls

    named = dict(zip(OTHER_CLS_ROWS, (tower.first, tower.early, tower.last), strict=True))
    listeners = {tower.attention: record_qk}
    if tower.has_cls:
        listeners |= {attention: cls_listener(attention) for attention in named.values()}
    with record_attention(listeners):
        hidden_states, features, deepstack = tower.run(pixels)
    return VisionOutput(
        query=torch.cat(queries),  # a tower may look at one frame after the other
        key=torch.cat(keys),
        scaling=scaling,
        cls_rows=cls_rows,
        hidden=hidden_states[:, 1:] if tower.has_cls else hidden_states,
        cls_hidden=hidden_states[:, 0] if tower.has_cls else None,
        features=features,
        deepstack=deepstack,
        project=partial(project, tower.project, hidden_states.dtype),
        project_difference=partial(
            project_difference, tower.project, tower.projector_layers, hidden_states.dtype
        ),
        patches_per_token=tower.patches_per_token,
    )


def _cls_attention(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Give the softmaxed attention of [CLS] to the patches, [V, H, n]."""
    row = (query[:, :, :1].float() @ key.float().transpose(2, 3)).squeeze(2) * scaling
    return row.softmax(-1)[..., 1:]


def _mean_rows(query: Tensor, key: Tensor, scaling: float, wanted: frozenset[str]) -> list:
    """Give the named ones of patch_attention and patch_logits, [V, n, keys], mean over heads.

    A few heads at a time: thousands of patches would take gigabytes.
    """
    V, H, n, _ = query.shape
    sums = {name: 0 for name in wanted}
    for heads in torch.arange(H).split(max(1, MAX_ATTENTION_ELEMENTS // (V * n * key.shape[2]))):
        part = slice(int(heads[0]), int(heads[-1]) + 1)
        logits = query[:, part] @ key[:, part].transpose(2, 3) * scaling
        for name in wanted:
            rows = logits.softmax(-1) if name == "patch_attention" else logits
            sums[name] = sums[name] + rows.sum(1)
    return [(name, rows / H) for name, rows in sums.items()]


def tower_signals(
    vision: VisionOutput, grid_position: Tensor, patches: Tensor, needs: frozenset[str]
) -> Signals:
    """Derive the named tower signals of one picture; what is not named stays None.

    grid_position [N, 3] and patches [N, P] come from the grid.
    """
    first = 0 if vision.cls_hidden is None else 1
    query, key = vision.query.float(), vision.key.float()
    signals: dict[str, object] = {"patches_per_token": vision.patches_per_token}
    if "cls_attention" in needs and first:
        signals["cls_attention"] = _cls_attention(query, key, vision.scaling)
    signals |= {name: row for name, row in vision.cls_rows.items() if name in needs}
    cls_rows = needs & {"cls_attention", *OTHER_CLS_ROWS}
    wanted = needs & {"patch_attention", "patch_logits"}
    if cls_rows and not first:  # the stand-in
        wanted |= {"patch_attention"}
    if wanted:
        patches_only = query[:, :, first:]
        signals |= {
            k: v[..., first:] for k, v in _mean_rows(patches_only, key, vision.scaling, wanted)
        }
    if "keys" in needs:
        signals["keys"] = key[:, :, first:].mean(1)
    if "hidden" in needs:
        signals["hidden"] = vision.hidden.float()
    if "cls_hidden" in needs and first:
        signals["cls_hidden"] = vision.cls_hidden.float().repeat(1, vision.patches_per_token)
    if "project" in needs:
        signals["project"] = vision.project
    if "project_difference" in needs:
        signals["project_difference"] = vision.project_difference
    return Signals(
        grid_position=grid_position, features=vision.features, patches=patches, **signals
    )


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
    """

    def __init__(self, layers: Sequence[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, nudge: Tensor) -> Tensor:
        """Give project(x + nudge) - project(x - nudge)."""
        first, *between = self.layers[:-1] or [nn.Identity()]
        if isinstance(first, nn.Linear):
            outputs, step = first(x), linear(nudge, first.weight)
            above, below = outputs + step, outputs - step
        else:
            above, below = first(x + nudge), first(x - nudge)
        for layer in between:
            above, below = layer(above), layer(below)
        return linear(above - below, self.layers[-1].weight)


def _in_float32(module: nn.Module, dtype: torch.dtype, *inputs: Tensor) -> Tensor:
    inputs = tuple(x.float() for x in inputs)
    if dtype == torch.float32:
        return module(*inputs)
    weights = {name: weight.float() for name, weight in module.state_dict().items()}
    return functional_call(module, weights, inputs)
