"""Crops: parts of the picture that a vision tower sees one by one, and how they share a budget.

The steps that several methods share. Crop 0 is the whole picture where there are several. Knows
where tokens lie and in which order a crop would keep them; not how that order came about.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.methods.ops.merging import rest
from explorer.methods.signals import Signals


def crop_of(signals: Signals, n: int) -> Tensor:
    """Tell which crop of n patches a token comes from, [N]; -1 for a token without a patch."""
    return signals.patches[:, 0].div(n, rounding_mode="floor")


def in_turn(orders: list[Tensor], count: int) -> Tensor:
    """Let the crops take turns: the first token of each, then the second of each; [count].

    orders: the tokens of each crop, the first to keep first. So the first K tokens are K / V of
    each. Tokens that are in no order (without a patch) come last, ascending.
    """
    turn = torch.cat([torch.arange(len(order), device=order.device) for order in orders])
    chosen = torch.cat(orders)[turn.argsort(stable=True)]
    return torch.cat([chosen, rest(chosen, count)])


def equal_shares(signals: Signals, n: int, total: int) -> list[tuple[Tensor, int]]:
    """Give the tokens of each crop of n patches, ascending, and how many of them to keep."""
    return equal_shares_of(crop_of(signals, n), total)


def equal_shares_of(crop: Tensor, total: int) -> list[tuple[Tensor, int]]:
    """Give the tokens of each crop or view, ascending, and how many of them to keep; crop [N].

    Crops get equal shares of `total`, the first ones a token more where it doesn't divide; one that
    is smaller than its share leaves the rest to others. Tokens without a patch stand last, and get
    what no patch is left for.
    """
    crops = [(crop == number).nonzero()[:, 0] for number in crop[crop >= 0].unique()]
    kept = in_turn(crops, len(crop))[:total]
    shares = [(tokens, int(torch.isin(tokens, kept).sum())) for tokens in crops]
    left = (crop < 0).nonzero()[:, 0]
    return [*shares, (left, total - sum(count for _, count in shares))]


def budgets(share: Tensor, sizes: Tensor, totals: Tensor, alpha: float) -> Tensor:
    """Give B_0, B_1 .. B_k of crops of `sizes` tokens for every total K, [k + 1, len(totals)].

    Crop 0 gets alpha of a total; crops 1..k share what is left, share [k] adding up to 1.
    """
    whole = (totals.double() * alpha).long().clamp(max=sizes[0])
    left = (totals - whole).clamp(max=sizes[1:].sum())
    crops = (share[:, None] * left).long()  # cut off, not rounded
    return torch.cat([whole[None], crops.minimum(sizes[1:, None])])


def as_shares_grow(seen: Tensor, crop: Tensor, table: Tensor) -> Tensor:
    """Order all tokens by the smallest total that takes them in, [N].

    table [V, N + 1]: how many tokens each crop keeps when all crops together may keep 0..N; in a
    crop those with the most `seen` [N] come first. Crops that get tokens at the same total give
    the one with more `seen`. Tokens that no total takes in come behind, those without a patch last.
    """
    best = seen.argsort(descending=True, stable=True)
    entry = torch.full_like(crop, table.shape[1] + 1)
    for number, kept in enumerate(table):
        mine = best[crop[best] == number]
        rank = torch.arange(1, len(mine) + 1, device=crop.device)
        entry[mine] = torch.searchsorted(kept.contiguous(), rank)
    return best[entry[best].argsort(stable=True)]


def inside(signals: Signals, crop: Tensor, count: int) -> Tensor:
    """Tell which tokens of crop 0, the whole picture, lie in the area of crops 1..count, [k, n0].

    crop [N] comes from `crop_of`. A token lies where its centre does.
    """
    cells = signals.grid_position[:, [2, 1]].float()
    whole = (crop == 0).nonzero()[:, 0]
    centre = _on_picture(signals, whole, cells[whole] + 0.5)
    lies = torch.zeros(count, len(whole), dtype=torch.bool, device=crop.device)
    for number in range(1, count + 1):
        tokens = (crop == number).nonzero()[:, 0]
        if len(tokens):  # a crop may be all padding, which some models cut off
            low = _on_picture(signals, tokens, cells[tokens].amin(0))
            high = _on_picture(signals, tokens, cells[tokens].amax(0) + 1)
            lies[number - 1] = ((centre >= low) & (centre < high)).all(1)
    return lies


def _on_picture(signals: Signals, tokens: Tensor, at: Tensor) -> Tensor:
    """Turn columns and rows [..., 2] of the view of these tokens into shares of the picture."""
    place, view = signals.grid_position, signals.grid_position[tokens[0], 0]
    columns_rows = place[place[:, 0] == view][:, [2, 1]].amax(0) + 1
    corner, opposite = signals.areas[view].float().split(2)
    return corner + at / columns_rows * (opposite - corner)
