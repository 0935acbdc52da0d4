"""What VisionZip does."""

from __future__ import annotations

import torch
from random_signals import NEWLINES, grid, run_stages, tower_signals

from explorer.methods.attention.visionzip import VisionZip
from explorer.methods.signals import Signals, Size, Stage, top


def test_visionzip_counts_cls_and_splits_27_to_5():
    size = Size(576, 32, 24)
    for budget, patches, contextual in [(64, 53, 10), (128, 107, 20), (192, 161, 30), (3, 1, 1)]:
        assert VisionZip().schedule(size, budget) == [Stage(0, patches, 1 + contextual)]
    assert VisionZip().schedule(size, 2) == [Stage(0, 1, 1)]
    assert VisionZip().schedule(size, 1) == [Stage(0, 1, 0)]
    no_cls = Size(576, 32, 24, cls=False)
    assert VisionZip().schedule(no_cls, 64) == [Stage(0, 54, 10)]


def contextual_signals() -> Signals:
    """Six patches in a row: 0 has all attention, 1 and 3 will be the targets."""
    keys = torch.tensor([[9.0, 9], [1, 0], [0, 1], [0, 2], [5, 1], [1, 5]])
    return Signals(
        grid(1, 6),
        torch.zeros(6, 2),
        patches=torch.arange(6)[:, None],
        cls_attention=torch.tensor([[[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]]] * 2).transpose(0, 1),
        keys=keys[None],
        hidden=torch.tensor([[[0.0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [6, 0]]]),
        cls_hidden=torch.tensor([[7.0, 7.0]]),
        project=lambda x: 10 * x,
    )


def test_visionzip_adds_to_each_target_the_mean_of_its_group():
    kept = VisionZip().keep(contextual_signals(), Stage(0, 1, 3))
    assert kept.index.tolist() == [0]
    assert kept.lead == 1
    # targets: 1 and 3 (every 5 // 2 = 2nd of the rest); 4 joins 1; 2 and 5 join 3
    assert kept.group.tolist() == [-1, 1, 2, 2, 1, 2]
    assert kept.merged[:, 0].tolist() == [70, 10 * (1 + 4), 10 * (3 + (2 + 6) / 2)]


def test_visionzip_scores_by_the_attention_summed_over_heads():
    assert torch.allclose(VisionZip().score(contextual_signals())[:2], torch.tensor([1.0, 0.2]))


def test_visionzip_without_cls_scores_by_the_attention_received():
    signals = tower_signals("square", cls=False)
    received = signals.patch_attention[0].mean(0)
    assert torch.allclose(VisionZip().score(signals), received)
    kept = VisionZip().keep(signals, Stage(0, 5, 2))
    assert kept.index.tolist() == top(received, 5).tolist()
    assert set(kept.group.tolist()) == {-1, 0, 1}


def test_visionzip_does_not_merge_newlines_while_there_are_patches():
    *_, (_, _, kept) = run_stages(VisionZip(), 10, "newlines")
    assert (kept.group[NEWLINES[:, 0] < 0] == -1).all()
    assert (kept.group >= 0).sum() + len(kept.index) == 16
