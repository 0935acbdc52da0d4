"""Windows of frames: who stays whole, with whom another is compared, and who keeps how many tokens.

Knows where tokens lie and how alike frames are; not which method asks.
Letters: F frames, P patches of each, N tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from explorer.methods.signals import Signals

WINDOWS = (4, 8, 16)  # frames from one whole frame to the next; the first is the authors'
WHOLE, LOST = -1, -2  # in place of the frame that another one is compared with


def compared(frames: int, window: int, lose_last: bool = False) -> list[int]:
    """Give the frame that each is compared with, [F]: the one before, or its window's first.

    With windows of 4 the last one's third frame stays whole, as in the official code, and so does
    the last of an odd number of frames, which that code loses (lose_last).
    """
    found = []
    for frame in range(frames):
        first, odd = frame - frame % window, frame % 2 == 1
        unpaired = frame == frames - 1 and not odd
        published = window == WINDOWS[0]
        if published and unpaired and lose_last and frames > 1:
            found.append(LOST)
        elif frame == first or (published and not odd and (first >= frames - 4 or unpaired)):
            found.append(WHOLE)
        else:
            found.append(frame - 1 if odd else first)
    return found


def counts(others: Sequence[int], patches: int, budget: int) -> list[int]:
    """Share a budget out: whole frames keep all patches, the others equal shares of what is left.

    Ours: the remainder goes to the first of them, and what they can't take to a lost frame.
    """
    found = [patches if other == WHOLE else 0 for other in others]
    rest = budget - sum(found)
    thinned = [frame for frame, other in enumerate(others) if other >= 0]
    each, more = divmod(rest, max(1, len(thinned)))
    for number, frame in enumerate(thinned):
        found[frame] = min(patches, each + (number < more))
        rest -= found[frame]
    return [rest if other == LOST else count for other, count in zip(others, found, strict=True)]


def cells_of(signals: Signals) -> Tensor:
    """Give the tokens of every frame, row by row, [F, P]; a picture is a single frame."""
    place = signals.frame_position
    if place is None:
        return torch.arange(signals.count, device=signals.grid_position.device)[None]
    frame, row, column = place.T
    key = (frame * (row.max() + 1) + row) * (column.max() + 1) + column
    shown = (frame >= 0).nonzero()[:, 0]
    return shown[key[shown].argsort()].view(int(frame.max()) + 1, -1)


def changes(signals: Signals, cells: Tensor, others: Sequence[int]) -> list[Tensor | None]:
    """Give 1 - cosine of every patch with the same place of the frame it is compared with, [F][P].

    None for frames that are compared with none. The other frame is always the untouched one.
    """
    frames = signals.features.float()[cells]
    return [
        _unlike(frame, frames[other]) if other >= 0 else None
        for frame, other in zip(frames, others, strict=True)
    ]


def _unlike(frame: Tensor, other: Tensor) -> Tensor:
    """Give 1 - cosine of rows [P, D]; exactly 0 for equal ones, so that rounding ranks nobody."""
    return (1 - cosine_similarity(frame, other, dim=1)).masked_fill((frame == other).all(1), 0)
