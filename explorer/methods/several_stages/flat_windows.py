"""MustDrop's part in the vision tower: areas of 3 x 3 patches that look alike become one token.

Official code: liuting20/MustDrop @909afa5, llava/model/multimodal_encoder/local_merge.py
(conditional_pooling, merge_wavg). Merged windows stand in front of all other tokens, the flattest
first, so that the order of the picture is lost. Knows patches and windows; not the question.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.errors import MethodUnavailable
from explorer.methods.observed import TowerLayer
from explorer.methods.signals import Kept, Signals, Size, Stage

SIDE = 3
SHARE = 4  # one window in so many merges (ours): what the smallest published mean needs of 64


def stages(size: Size, budget: int, merging: bool) -> list[Stage]:
    """Merge a share of the windows before the LLM, but leave as many tokens as the budget.

    No stage if that isn't asked for, or if there are no windows to merge.
    """
    if not merging:
        return []
    rows = size.tokens // size.columns
    windows = (rows // SIDE) * (size.columns // SIDE)
    # differs: the code merges what is alike beyond a threshold, whatever becomes of the number
    count = min(windows // SHARE, (size.tokens - budget) // (SIDE**2 - 1))
    return [Stage(0, size.tokens - SIDE**2 * count, count)] if count else []


def members(rows: int, columns: int) -> Tensor:
    """List the patches of every whole window, [W, 9]; differs: what is left over stays single."""
    place = torch.arange(rows * columns).view(rows, columns)
    whole = place[: rows // SIDE * SIDE, : columns // SIDE * SIDE]
    return whole.unfold(0, SIDE, SIDE).unfold(1, SIDE, SIDE).reshape(-1, SIDE**2)


def likeness(features: Tensor, windows: Tensor) -> Tensor:
    """Give the mean of the 72 cosines between different patches of each window, [W]."""
    unit = normalize(features.float()[windows], dim=2)
    cosine = unit @ unit.transpose(1, 2)
    among = SIDE**2 * (SIDE**2 - 1)
    return (cosine.sum((1, 2)) - cosine.diagonal(dim1=1, dim2=2).sum(1)) / among


def grouped(windows: Tensor, like: Tensor, count: int, patches: int) -> tuple[Tensor, Tensor]:
    """Choose the `count` windows that are most alike: their patches [count, 9], falling.

    Gives also the window of every patch, [n]; -1 for a single one.
    """
    chosen = windows[like.argsort(descending=True, stable=True)[:count]]
    group = torch.full((patches,), -1, device=windows.device)
    group[chosen.flatten()] = torch.arange(count, device=group.device).repeat_interleave(SIDE**2)
    return chosen, group


def merged(signals: Signals, stage: Stage) -> Kept:
    """Run the tower again on merged windows and single patches, behind its first layer."""
    place = signals.grid_position
    single = signals.patches.shape[1] == 1 and int(place[:, 0].max()) == 0
    if signals.rerun_tower is None or signals.last_cls_attention is None or not single:
        raise MethodUnavailable(
            "MustDrop can merge in the tower only where it has a [CLS] and sees the picture once."
        )
    windows = members(int(place[:, 1].max()) + 1, int(place[:, 2].max()) + 1).to(place.device)
    group, lengths = torch.full_like(place[:, 0], -1), []

    def merge(layer: TowerLayer) -> Tensor | None:
        nonlocal group
        lengths.append(layer.hidden.shape[1])
        if layer.number:
            return None
        patches = layer.hidden[0, 1:]
        like = likeness(patches, windows)
        chosen, group = grouped(windows, like, stage.merge, len(patches))
        means = patches[chosen].mean(1)
        return torch.cat([layer.hidden[0, :1], means, patches[group < 0]])[None]

    features = signals.project(signals.rerun_tower(merge)[0, 1:].float())
    return Kept(
        (group < 0).nonzero()[:, 0],
        merged=features[: stage.merge],
        group=group,
        lead=stage.merge,
        features=features[stage.merge :],
        tower=tuple(lengths),
    )
