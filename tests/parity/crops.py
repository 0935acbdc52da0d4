"""GlobalCom2: how a thumbnail shares the budget out over crops, and what they keep."""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.methods.attention.globalcom2 import GlobalCom2
from explorer.methods.signals import Signals, Stage
from parity.reading import Golden, assert_close, assert_same_set, line
from parity.selection import decimal


def crops_of_a_padded_picture(golden: Golden) -> tuple[Signals, list[Tensor]]:
    """The tokens of thumbnail and crops that show a part of the picture, and those of each crop.

    Padding is cut off as LLaVA does: whole rows above and below, or columns at both sides.
    """
    side, across, down = (int(golden[name]) for name in ("side", "grid_columns", "grid_rows"))
    n, (width, height) = side**2, golden["image_size"].tolist()
    high, wide, cut = down * side, across * side, [0, 0]
    if width / height > wide / high:
        cut[0] = (high - int(height * (wide / width))) // 2
    else:
        cut[1] = (wide - int(width * (high / height))) // 2
    place, patches = [line(n, side)], [torch.arange(n)]
    for crop in range(down * across):
        cells = line(n, side)[:, 1:] + torch.tensor([crop // across, crop % across]) * side
        shown = (
            (cells >= torch.tensor(cut)) & (cells < torch.tensor([high, wide]) - torch.tensor(cut))
        ).all(1)
        view = torch.ones(int(shown.sum()), 1).long()
        place.append(torch.cat([view, (cells - torch.tensor(cut))[shown]], 1))
        patches.append((crop + 1) * n + shown.nonzero()[:, 0])
    signals = Signals(
        torch.cat(place),
        torch.arange(sum(map(len, patches)))[:, None].float(),  # each its number, to see its place
        patches=torch.cat(patches)[:, None],
        last_cls_logits=golden["cls_logits"][..., 1:],
    )
    return signals, patches


def run_globalcom2(golden: Golden) -> None:
    signals, views = crops_of_a_padded_picture(golden)
    method, ratio, budget = GlobalCom2(), decimal(golden["retention_ratio"]), int(golden["budget"])
    z, crop, sizes = method.seen(signals)
    assert_close(z, golden["cls_scores"].reshape(-1)[signals.patches[:, 0]])
    assert sizes[1:].tolist() == golden["valid_per_crop"].tolist()
    scales = (ratio * method.shares(signals)[1:]).clamp(max=1)
    assert_close(scales, golden["scales"])
    official = [int(sizes[0] * ratio), *(sizes[1:] * scales).long().tolist()]
    assert official == golden["kept_per_view"].tolist()
    score, orders = method.score(signals), [golden["base_order"]]
    for number in range(1, len(sizes)):
        name = f"crop{number - 1}"
        assert_close(score[crop == number], golden[f"score_{name}"])
        orders.append(golden[f"order_{name}"])
    for number, order in enumerate(orders):
        falling_order = score[crop == number].argsort(descending=True, stable=True)
        assert falling_order[: len(order)].tolist() == order.tolist()
    found = method.keep(signals, Stage(0, budget))
    kept, whole = found.index, int((found.index < sizes[0]).sum())
    assert found.features[:whole, 0].tolist() == golden["base_order"][:whole].tolist()
    assert torch.equal(found.features[whole:, 0], kept[whole:].float())
    assert_same_set(signals.patches[kept, 0].sort().values, golden["keep"])
    assert as_the_code_places_them(golden, views, orders) == golden["packed_index"].tolist()


def as_the_code_places_them(golden: Golden, views: list[Tensor], orders: list[Tensor]) -> list[int]:
    """What the language model reads: the thumbnail by score, then the crops' rows with newlines.

    The code takes a token's number among those that show the picture for its place in the crop.
    """
    side, across, down = (int(golden[name]) for name in ("side", "grid_columns", "grid_rows"))
    canvas = torch.full((down * side, across * side + 1), -2)
    canvas[:, -1] = -1
    for crop, (tokens, order) in enumerate(zip(views[1:], orders[1:], strict=True)):
        row, column = order // side + crop // across * side, order % side + crop % across * side
        canvas[row, column] = tokens[order]
    read = canvas.reshape(-1)
    return [*orders[0].tolist(), *read[read > -2].tolist()]


RUNNERS = {"globalcom2": run_globalcom2}
