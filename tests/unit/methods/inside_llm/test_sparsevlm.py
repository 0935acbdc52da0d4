"""What SparseVLM does, and how it clusters what it recycles."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from random_signals import grid, inner_signals

from explorer.methods.inside_llm import sparsevlm, token_schedule
from explorer.methods.inside_llm.sparsevlm import SparseVLM
from explorer.methods.ops import recycling
from explorer.methods.ops.groups import clustering
from explorer.methods.signals import Signals, Size, Stage

SIZE = Size(576, 32, 24)


# ---- budgets ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "kept", "totals"),
    [
        (206, [300, 200, 110], [309, 204, 113]),  # published as 192: counted after each layer
        (145, [303, 110, 36], [312, 117, 39]),
        (114, [238, 48, 26], [249, 55, 27]),
        (82, [66, 30, 17], [82, 32, 18]),
    ],
)
def test_published_lists_stay_as_they_are(budget, kept, totals):
    stages = SparseVLM().schedule(SIZE, budget)
    assert [stage.layer for stage in stages] == [3, 7, 16]  # before these: the output of 2, 6, 15
    assert [stage.keep for stage in stages] == kept
    assert [stage.total for stage in stages] == totals


def test_sparsevlm_plus_has_other_lists_and_recycles_nothing():
    stages = SparseVLM(version="plus").schedule(SIZE, 144)
    assert stages == [Stage(3, 238), Stage(7, 108), Stage(16, 60)]


def test_budgets_between_two_lists_mix_them():
    stages = SparseVLM().schedule(SIZE, 176)  # half way between 145.4 and 206.5
    assert [stage.keep for stage in stages] == pytest.approx([301, 155, 73], abs=2)
    assert token_schedule.mean(SIZE, stages) == pytest.approx(176, abs=0.5)


def test_lists_are_scaled_to_other_pictures_and_depths():
    stages = SparseVLM().schedule(Size(144, 12, 12), 59)  # 3/12 of 144, 1/12 of 77, 4/12 of 51, ...
    assert [stage.layer for stage in stages] == [2, 3, 7]
    assert [stage.keep for stage in stages] == pytest.approx([75, 50, 27], abs=2)


def test_positions_are_new_in_version_1_5_and_old_in_plus():
    assert SparseVLM().positions == "renumber"
    assert SparseVLM(version="plus").positions == "keep"


# ---- raters and scores ------------------------------------------------------------------------


def with_words(inputs: list, tail: list, attention: torch.Tensor) -> Signals:
    return Signals(
        grid(1, attention.shape[2]),
        torch.eye(attention.shape[2], 4),
        inputs=torch.tensor(inputs),
        tail=torch.tensor(tail),
        tail_attention=attention,
    )


def test_raters_are_the_words_that_the_picture_goes_with_more_than_with_the_average():
    """Two patches point along x, one along y; the words are x, y and z."""
    inputs = [[4.0, 0, 0], [4.0, 0, 0], [0, 4.0, 0]]
    signals = with_words(inputs, [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]], torch.zeros(1, 3, 3))
    # softmax of (4, 0, 0) is (.965, .018, .018): the means are .65, .33 and .02; their mean 1/3
    assert sparsevlm.raters(signals).tolist() == [True, False, False]


def test_only_raters_vote():
    attention = torch.tensor([[[0.1, 0.2, 0.3], [0.9, 0.0, 0.0]], [[0.3, 0.4, 0.1], [0.9, 0, 0]]])
    signals = with_words([[5.0, 0], [5.0, 0], [5.0, 0]], [[1.0, 0], [0, 1.0]], attention)
    assert torch.allclose(SparseVLM().score(signals), torch.tensor([0.2, 0.3, 0.2]))
    assert SparseVLM().keep(signals, Stage(3, 1)).index.tolist() == [1]


def test_where_no_word_stands_out_all_of_them_vote():
    signals = with_words([[1.0, 0]], [[1.0, 0], [1.0, 0]], torch.tensor([[[0.2], [0.4]]]))
    assert sparsevlm.raters(signals).tolist() == [True, True]
    assert float(SparseVLM().score(signals)) == pytest.approx(0.3)


def test_plus_divides_by_what_distance_alone_does_and_hears_the_loudest_heads():
    signals = inner_signals(grid(2, 3), "random", 3)
    chosen = sparsevlm.raters(signals).nonzero()[:, 0].tolist()
    grounded = torch.zeros(3, len(chosen), 6)
    for row, rater in enumerate(chosen):
        for token in range(6):
            gravity = float(signals.tail_rotated_ones[rater] @ signals.rotated_ones[token]) / 4**0.5
            grounded[:, row, token] = signals.tail_attention[:, rater, token] / gravity
    quietest = int(grounded.sum((1, 2)).argmin())
    expected = grounded[[head for head in range(3) if head != quietest]].mean((0, 1))
    assert torch.allclose(SparseVLM(version="plus").score(signals), expected, rtol=1e-4)


@pytest.mark.parametrize(("heads", "heard"), [(32, 14), (28, 14), (40, 14), (8, 4), (1, 1)])
def test_plus_hears_14_heads_or_half_of_fewer(heads, heard):
    """Every head looks at a token of its own, so the tokens with a score count the heads."""
    attention = torch.eye(heads)[:, None] * torch.linspace(1, 2, heads)[:, None, None]
    signals = replace(
        with_words([[1.0, 0]], [[1.0, 0]], attention),
        rotated_ones=torch.ones(heads, 4),
        tail_rotated_ones=torch.ones(1, 4),
    )
    assert int((SparseVLM(version="plus").score(signals) > 0).sum()) == heard


def test_plus_survives_a_gravity_of_zero():
    signals = replace(inner_signals(grid(2, 3), "random", 3), rotated_ones=torch.zeros(6, 4))
    assert SparseVLM(version="plus").score(signals).isfinite().all()


# ---- recycling --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dropped", "again", "clusters"), [(1, 1, 1), (29, 9, 1), (30, 10, 2), (276, 83, 9)]
)
def test_three_tenths_of_the_dropped_are_recycled_ten_to_a_cluster(dropped, again, clusters):
    assert recycling.recycled(dropped) == again
    assert recycling.clusters(dropped) == clusters


def test_the_best_of_the_dropped_become_their_mean_behind_the_kept_ones():
    attention = torch.tensor([[[0.5, 0.1, 0.2, 0.4, 0.3, 0.05]]])
    signals = with_words([[1.0]], [[1.0]], attention)
    kept = SparseVLM().keep(signals, Stage(3, 1, 1))  # five are dropped, int(1.5) + 1 come back
    assert kept.index.tolist() == [0]
    assert kept.group.tolist() == [-1, -1, -1, 0, 0, -1]
    assert kept.lead == 0
    assert torch.allclose(kept.merged[0], signals.features[[3, 4]].mean(0), atol=1e-5)


def test_clusters_gather_around_dense_tokens_that_are_far_from_denser_ones():
    corners = torch.tensor([[0.0, 0], [10.0, 0], [0, 10.0]])
    offsets = torch.tensor([[0.0, 0], [0.1, 0], [-0.1, 0.02], [0, 0.1]])
    tokens = (corners[:, None] + offsets * torch.tensor([1, 2, 3])[:, None, None]).flatten(0, 1)
    merged, group = clustering.gather(tokens, 3)
    assert group.tolist() == [0] * 4 + [1] * 4 + [2] * 4, "the densest corner comes first"
    for corner in range(3):
        mean = tokens[4 * corner : 4 * corner + 4].mean(0)
        assert torch.allclose(merged[corner], mean, atol=1e-4)


def test_centres_are_those_of_the_formulas():
    tokens = torch.randn(9, 4, generator=torch.Generator().manual_seed(5))
    count, n = 3, 9
    distance = [[float((a - b).norm()) / 2 for b in tokens] for a in tokens]
    density = [-sum(d * d for d in sorted(row)[:count]) / count for row in distance]
    density = torch.tensor(density).exp().tolist()
    largest = max(map(max, distance))
    worth = []
    for i in range(n):
        denser = [distance[i][j] for j in range(n) if density[j] > density[i]]
        worth.append(density[i] * (min(denser) if denser else largest))
    best = sorted(range(n), key=lambda i: -worth[i])[:count]
    assert clustering.centres(tokens, count).tolist() == best


def test_of_two_nearest_neighbours_one_is_a_centre_not_both():
    """With two clusters both are equally dense; the original tosses a coin."""
    tokens = torch.tensor([[0.0], [5.0], [5.1], [0.3]])
    assert clustering.centres(tokens, 2).tolist() == [1, 0]
    _, group = clustering.gather(tokens, 2)
    assert group.tolist() == [1, 0, 0, 1]


def test_the_papers_clusters_are_sums_of_tokens_in_the_same_direction():
    tokens = torch.tensor([[1.0, 0.0], [3.0, 0.1], [0.0, 1.0], [0.1, 0.9]])
    merged, group = clustering.gather(tokens, 2, how="sum")
    assert group[0] == group[1] != group[2] == group[3]
    assert torch.allclose(merged[group[0]], tokens[:2].sum(0))
