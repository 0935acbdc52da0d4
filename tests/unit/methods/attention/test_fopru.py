"""What FoPru does."""

from __future__ import annotations

import pytest
import torch
from random_signals import EVERY_CONTENT, LAYOUTS, WIDTH, grid, one_patch_each, run_stages, size_of
from torch import Tensor

from explorer.methods.attention.fopru import FoPru
from explorer.methods.signals import Signals, Stage


def attention_signals(rows: int, columns: int, attention: Tensor) -> Signals:
    place = grid(rows, columns)
    return Signals(
        place,
        torch.zeros(len(place), WIDTH),
        patches=one_patch_each(place),
        patch_attention=attention[None],
        patch_logits=-attention[None],
    )


def test_fopru_uses_attention_received_or_given_whichever_varies_more():
    received = torch.tensor([[0.1, 0.9, 0.2, 0.3]]).expand(4, 4)
    assert torch.allclose(FoPru().score(attention_signals(2, 2, received)), received[0])
    assert torch.allclose(FoPru().score(attention_signals(2, 2, received.T)), received[0])
    logits = FoPru(softmaxed=False).score(attention_signals(2, 2, received))
    assert torch.allclose(logits, -received[0])


def test_fopru_by_rows_keeps_the_rows_with_the_largest_sums():
    attention = torch.tensor([[0.9, 0.0, 0.4, 0.6, 0.3, 0.3]]).expand(6, 6)
    signals = attention_signals(3, 2, attention)
    kept = FoPru(strategy="row").keep(signals, Stage(0, 4))
    assert kept.index.tolist() == [0, 1, 2, 3]
    assert FoPru(strategy="row").keep(signals, Stage(0, 2)).index.tolist() == [2, 3]


@EVERY_CONTENT
@pytest.mark.parametrize("layout", ["wide", "two views", "newlines", "merged 2x2"])
def test_fopru_by_rows_never_cuts_a_row(layout, content):
    size, place = size_of(layout), LAYOUTS[layout][0]
    patches = int((place[:, 0] >= 0).sum())
    for budget in range(size.columns, patches + 1):
        [(_, stage, kept)] = run_stages(FoPru(strategy="row"), budget, layout, content)
        if budget == size.tokens:
            continue
        assert stage.keep == budget // size.columns * size.columns
        rows = place[kept.index, :2].unique(dim=0)
        assert len(rows) * size.columns == stage.keep
        assert (rows >= 0).all(), "newlines leave before any row of patches"
