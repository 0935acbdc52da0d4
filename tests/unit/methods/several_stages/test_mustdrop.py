"""MustDrop's part in the tower: merged windows stand in front, and the tower has run again."""

from __future__ import annotations

import pytest
import torch
from random_signals import size_of, tower_signals

from explorer.errors import MethodUnavailable
from explorer.methods.several_stages import flat_windows
from explorer.methods.several_stages.mustdrop import MustDrop
from explorer.methods.signals import Size, Stage


def test_a_quarter_of_the_windows_merges_unless_the_budget_wants_the_tokens():
    size = Size(576, 32, 24)
    first, *later = MustDrop(tower="on").schedule(size, 80)
    assert first == Stage(0, 576 - 9 * 16, 16)
    assert later[0].layer == 3 and later[-1].cut_from == 2
    assert MustDrop(tower="on").floor(size) < MustDrop().floor(size)
    assert MustDrop(tower="on").schedule(size, 570)[0].layer > 0, "6 tokens are less than a window"


def test_merged_windows_lead_and_others_are_what_the_shorter_tower_makes_of_them():
    signals = tower_signals("square", "random")
    kept = flat_windows.merged(signals, Stage(0, 16, 1))
    assert kept.lead == 1 and kept.merged.shape[0] == 1
    inside = [0, 1, 2, 5, 6, 7, 10, 11, 12]  # the only whole window of 5 x 5 patches
    assert (kept.group == 0).nonzero()[:, 0].tolist() == inside
    assert kept.index.tolist() == [token for token in range(25) if token not in inside]
    assert kept.features.shape == (16, kept.merged.shape[1])
    assert kept.tower == (26, 18, 18, 18, 18)


def test_where_the_tower_can_not_merge_it_says_so():
    for signals in (tower_signals("two views", "random"), tower_signals("square", "random", False)):
        with pytest.raises(MethodUnavailable, match="only where it has a"):
            flat_windows.merged(signals, Stage(0, size_of("square").tokens - 9, 1))


def test_likeness_leaves_the_diagonal_out():
    same = torch.ones(9, 4)
    windows = flat_windows.members(3, 3)
    assert flat_windows.likeness(same, windows).tolist() == pytest.approx([1.0])
    assert flat_windows.likeness(torch.eye(9), windows).tolist() == [0.0]
