"""HiRED, MMTok, CDPruner and DART: what they keep, crop by crop or inside the language model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from explorer.media.layouts import padded_square
from explorer.methods.attention.hired import HiRED
from explorer.methods.inside_llm import dart
from explorer.methods.inside_llm.dart import DART
from explorer.methods.ops.crops import budgets
from explorer.methods.ops.ranking import falling
from explorer.methods.signals import Signals, Size, Stage
from explorer.methods.similarity import cdpruner
from explorer.methods.similarity.cdpruner import CDPruner
from explorer.methods.similarity.keywords import keywords
from explorer.methods.similarity.mmtok import MMTok
from explorer.methods.similarity.volume import widest
from parity.reading import Golden, assert_close, assert_same_set, line

LATE, FIRST = "bottom_layer_attn", "top_layer_attn"  # the official names of layers 22 and 0


def cls_rows(golden: Golden, name: str) -> Tensor:
    """Attention of [CLS] to the patches, [crops, H, n]; its own column is cut off."""
    return golden[name][:, :, 0, 1:]


def decimal(number: Tensor) -> float:
    """The setting as it was written: cut off counts hang on more digits than float32 has."""
    return round(float(number), 6)


def by_crop(crops: int, n: int) -> dict[str, Tensor]:
    """Places and patches of crops that stand one behind the other, each a view of its own."""
    side = round(n**0.5)
    view = torch.arange(crops).repeat_interleave(n)[:, None]
    cells = torch.cartesian_prod(torch.arange(side), torch.arange(side)).repeat(crops, 1)
    if len(cells) != crops * n:  # the recording is no square: only the numbers matter
        cells = torch.stack([torch.zeros(n).long(), torch.arange(n)], 1).repeat(crops, 1)
    return {
        "grid_position": torch.cat([view, cells], 1),
        "patches": torch.arange(crops * n)[:, None],
    }


# ---- HiRED ------------------------------------------------------------------------------------


def run_hired(golden: Golden) -> None:
    late = cls_rows(golden, LATE)
    crops, _, n = late.shape
    where = by_crop(crops, n)
    mask, features = golden["mask"].reshape(-1), torch.zeros(crops * n, 1)
    if FIRST not in golden:
        signals = Signals(**where, features=features, cls_attention=late)
        [stage] = HiRED().schedule(Size(n, 32, n), int(golden["budget"]))
        kept = HiRED().keep(signals, stage).index
        assert kept.tolist() == mask.nonzero()[:, 0].tolist() == golden["keep"].tolist()
        return
    first, alpha = cls_rows(golden, FIRST), float(golden["alpha"])
    signals = Signals(**where, features=features, cls_attention=late, first_cls_attention=first)
    budget = int(golden["budget"])
    assert budget == int(crops * n * decimal(golden["token_budget_rate"]))
    distribution = golden["spatial_distribution"]
    assert int(distribution.sum()) == int(n * (1 - alpha))
    crop = where["grid_position"][:, 0]
    share = HiRED(alpha=alpha).shares(signals, crop, crops - 1)
    strips = distribution.reshape(crops - 1, -1).sum(1)
    assert_close(share, strips / strips.sum())
    sizes, total = crop.bincount(), torch.tensor([budget])
    whole, *others = budgets(share, sizes, total, alpha)[:, 0].tolist()
    assert whole == int(golden["full_budget"])
    assert others == golden["sub_budgets"].tolist()
    # what the official code keeps comes first; the tokens that its shares leave over come next
    official = whole + sum(others)
    assert official <= budget
    scores = HiRED(alpha=alpha).score(signals)
    first_ones = scores.argsort(descending=True)[:official]
    assert_same_set(first_ones.sort().values, mask.nonzero()[:, 0])
    kept = HiRED(alpha=alpha).keep(signals, Stage(0, budget)).index
    assert len(kept) == budget
    assert set(first_ones.tolist()) <= set(kept.tolist())
    if crops == 5:
        assert in_final_order(golden, mask, n) == golden["packed_index"].tolist()


def in_final_order(golden: Golden, mask: Tensor, n: int) -> list[int]:
    """Kept tokens in the order of the model's input: 2 x 2 crops are put together, padding cut off.

    Pictures that are wider than the crops put together have their padding above and below.
    """
    side = round(n**0.5)
    crops = torch.arange(4).reshape(2, 2).repeat_interleave(side, 0).repeat_interleave(side, 1)
    cell = torch.arange(n).reshape(side, side).repeat(2, 2)
    canvas = (crops + 1) * n + cell
    height, width = golden["image_size"].tolist()
    if width > height:
        cut = (2 * side - int(height * 2 * side / width)) // 2
        canvas = canvas[cut : 2 * side - cut]
    else:
        cut = (2 * side - int(width * 2 * side / height)) // 2
        canvas = canvas[:, cut : 2 * side - cut]
    tokens = torch.cat([torch.arange(n), canvas.reshape(-1)])
    return tokens[mask[tokens]].tolist()


# ---- MMTok ------------------------------------------------------------------------------------


def run_mmtok(golden: Golden) -> None:
    if "questions" in golden:
        run_mmtok_words_and_padding(golden)
        return
    text, projected = golden["text_tokens"], golden["vision_proj"]
    n, budget = len(projected), int(golden["budget"])
    options = {name: float(golden[name]) for name in ("alpha", "tv_temp", "vv_temp")}
    padding = torch.zeros(n, dtype=torch.bool).index_fill_(0, golden["exclude"], True)
    signals = Signals(
        line(n),
        projected,
        patches=torch.arange(n)[:, None],
        question="recorded words",
        embed=lambda _: text,
        hidden=golden["vision_feat"][None],
        padding=padding,
    )
    matrix = MMTok(**options).cover(text, projected, golden["vision_feat"])
    if "combined" in golden:
        assert_close(matrix, golden["combined"])
    assert_close(matrix.sum(0), golden["gain0"])
    chosen = MMTok(**options).order(signals, budget)
    assert chosen[:budget].tolist() == golden["keep_order"].tolist()
    [stage] = MMTok().schedule(Size(n, 32, n), budget)
    assert MMTok(**options).keep(signals, stage).index.tolist() == golden["keep"].tolist()
    scores = MMTok(**options).score(signals)
    assert scores.argsort(descending=True)[:budget].tolist() == golden["keep_order"].tolist()


def run_mmtok_words_and_padding(golden: Golden) -> None:
    """Padding is that of LLaVA-1.5: a square of 336 pixels, in patches of 14.

    The code rounds the picture to whole pixels of the 336 first, and so calls some patches padding
    that show a sliver of it. There we differ, and nowhere else.
    """
    for question, official in zip(golden["questions"], golden["keywords"], strict=True):
        assert keywords(question) == official, question
    ends = golden["pad_off"].tolist()
    for (width, height), start, end in zip(golden["sizes"].tolist(), ends, ends[1:], strict=False):
        grid = padded_square(width, height, 24)
        official = np.zeros(grid.count, dtype=bool)
        official[golden["pad_flat"][start:end]] = True
        x0, y0, x1, y1 = grid.boxes[grid.padding != official].T
        pixel = max(width, height) / 336
        shown = np.minimum(
            np.minimum(x1, width) - np.maximum(x0, 0), np.minimum(y1, height) - np.maximum(y0, 0)
        )
        assert (shown < pixel).all(), (width, height)


# ---- CDPruner ---------------------------------------------------------------------------------


def run_cdpruner(golden: Golden) -> None:
    features, budget = golden["proj"], int(golden["budget"])
    crops, n = features.shape[:2]
    signals = Signals(
        **by_crop(crops, n),
        features=features.flatten(0, 1),
        hidden=features,
        patch_embeds=golden["patch_embeds"],
        text_embeds=golden["text_embeds"],
    )
    r = CDPruner(relevance="clip").relevances(signals)
    assert_close(r.reshape(crops, n), golden["relevance"])
    matrix = cdpruner.kernel(features[0], r[:n], mix=False)
    assert_close(matrix[0], golden["kernel00"])
    # a recording may go on where the kernel's rank is used up: until there, in this order
    turns = CDPruner().order(signals).reshape(n, crops).T - n * torch.arange(crops)[:, None]
    official = golden["keep_order"]
    for number in range(crops):
        own = widest(cdpruner.kernel(features[number], r.reshape(crops, n)[number], mix=False))
        known = min(len(own), official.shape[1])
        assert turns[number, :known].tolist() == official[number, :known].tolist()
        if known == budget:
            kept = CDPruner().keep(signals, Stage(0, crops * budget)).index
            kept = kept[kept // n == number] - number * n
            assert kept.tolist() == golden["keep"][number].tolist()
    assert torch.equal(CDPruner().score(signals), falling(CDPruner().order(signals)))


# ---- DART -------------------------------------------------------------------------------------


def run_dart(golden: Golden) -> None:
    start, n = int(golden["image_start"]), int(golden["n_img"])
    asked = int(golden["max_num_trunction"])
    asked = n * (1 - decimal(golden["reduction_ratio"])) if asked < 0 else asked
    hidden, keys = golden["hidden_norm"][0], golden["keys"][0]
    norms = keys.abs().sum((0, 2))
    signals = Signals(
        line(n),
        torch.zeros(n, 1),
        normed=hidden[start : start + n],
        tail_normed=hidden[start + n :],
        key_norms=norms[start : start + n],
        tail_key_norms=norms[start + n :],
        n_leading_tokens=start,
    )
    images, texts = int(golden["pivot_image"]), int(golden["pivot_text"])
    visual, everyone = dart.pivots(signals, images, texts)
    per = int(asked // (images + texts))
    kept = dart.retain(signals, visual, everyone, per, 0)
    assert kept.tolist() == golden["keep_sorted"].tolist()
    assert len(kept) == int(golden["n_kept"]) == images + (images + texts) * per
    assert (kept + start).tolist() == sorted(golden["keep_abs"].tolist())
    if (images, texts) == (dart.IMAGE_PIVOTS, dart.TEXT_PIVOTS):
        assert DART().keep(signals, Stage(DART.layer, len(kept))).index.tolist() == kept.tolist()


RUNNERS = {
    "hired": run_hired,
    "mmtok": run_mmtok,
    "cdpruner": run_cdpruner,
    "dart": run_dart,
}
