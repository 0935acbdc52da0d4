"""Which keys a step reads, by the rules of both methods, on numbers that a hand can follow."""

from __future__ import annotations

import pytest
import torch

from explorer.metrics.reading.counts import read_counts
from explorer.metrics.reading.tidaldecode import (
    Tidal,
    combined,
    heat,
    mass,
    persistence,
    recall,
    top_keys,
)
from explorer.metrics.reading.tokenselect import chosen, criticality, smoothed, votes


def test_the_layers_that_choose_are_those_of_the_authors():
    assert Tidal.of(32, 256) == Tidal(2, 13, 256)
    for layers in (2, 3, 4, 12, 28, 40):
        tidal = Tidal.of(layers, 8)
        assert 0 <= tidal.start < tidal.correction < layers
        sources = [tidal.source(layer) for layer in range(layers)]
        early, late = tidal.segments(layers)
        assert [sources[layer] for layer in early] == [tidal.start] * len(early)
        assert [sources[layer] for layer in late] == [tidal.correction] * len(late)
        assert sources.count(None) == layers - len(early) - len(late)


def test_heads_choose_for_themselves_and_the_first_of_equals_is_read():
    logits = torch.tensor([[[3.0, 1.0, 2.0, 2.0]], [[0.0, 5.0, 0.0, -torch.inf]]])
    read = top_keys(logits, 2)
    assert read.int().tolist() == [[[1, 0, 1, 0]], [[1, 1, 0, 0]]]
    assert heat(read).tolist() == [[1.0, 0.5, 0.5, 0.0]]
    some = torch.tensor([False, True, True, True])
    assert top_keys(logits, 2, some).int().tolist() == [[[0, 0, 1, 1]], [[0, 1, 1, 0]]]
    assert top_keys(logits, 9).int().tolist() == [[[1, 1, 1, 1]], [[1, 1, 1, 0]]]


def test_what_is_kept_is_counted_per_head_and_grows_with_the_keys():
    logits = torch.randn(3, 4, 20, generator=torch.Generator().manual_seed(0))
    other = torch.randn(3, 4, 20, generator=torch.Generator().manual_seed(1))
    before = None
    for m in (1, 5, 10, 20):
        read, best = top_keys(logits, m), top_keys(other, m)
        kept = mass(read, logits.softmax(-1))
        assert recall(read, read).tolist() == [1.0] * 4
        assert before is None or (
            (heat(read) >= heat(before[0])).all() and (kept > before[1]).all()
        )
        assert m < 20 or recall(read, best).tolist() == kept.round(decimals=5).tolist() == [1.0] * 4
        before = read, kept
    same = torch.tensor([[[True, True, False], [True, False, True], [False, True, True]]])
    assert persistence(same).tolist() == [0.5, 0.5]
    early, late = torch.zeros(1, 3), torch.ones(1, 3)
    assert combined(early, late, (range(1, 2), range(3, 6))).tolist() == [[0.75] * 3]


def test_votes_are_shares_and_key_heads_are_grouped_or_counted_round():
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(*shape, generator=generator) for shape in ((4, 3, 8), (2, 10, 8)))
    for kv_map, heads in (("group", [0, 0, 1, 1]), ("mod", [0, 1, 0, 1])):
        expected = query @ key[heads].transpose(1, 2)
        assert torch.allclose(criticality(query, key, kv_map), expected, atol=1e-6)
        scaled = criticality(query, key, kv_map, scale=True)
        assert torch.allclose(scaled, expected / 8**0.5, atol=1e-6)
    vote = votes(criticality(query, key))
    assert torch.allclose(vote.sum(1), torch.full((3,), 4.0))
    assert chosen(vote, 3).sum(1).tolist() == [3] * 3 and chosen(vote, 99).all()
    spread = smoothed(torch.tensor([[0.0, 3.0, 0.0, 0.0, 1.0]]), 3)
    assert spread.tolist() == [[3.0, 3.0, 3.0, 1.0, 1.0]]


def test_a_whole_answer_is_counted_patch_by_patch():
    counts = read_counts(torch.tensor([[0.0, 0.5, 0.0], [0.0, 1.0, 0.25]]))
    assert counts.often.tolist() == [0.0, 0.75, 0.125]
    assert counts.first.tolist() == [-1, 0, 1]
    assert counts.union == pytest.approx(2 / 3)
    nothing = read_counts(torch.zeros(0, 3))
    assert nothing.union == 0 and nothing.first.tolist() == [-1] * 3
