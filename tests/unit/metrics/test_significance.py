"""Intervals and paired tests, on answers whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.metrics.significance import holm, interval, mcnemar, paired, sign_flips


def test_the_interval_surrounds_the_share_and_narrows_with_more_answers():
    few, many = np.arange(40) % 4 > 0, np.arange(4000) % 4 > 0
    (a, b), (c, d) = interval(few), interval(many)
    assert a < 0.75 < b and c < 0.75 < d
    assert (b - a) > 5 * (d - c)
    # a share of 3/4 among n answers has a standard error of sqrt(3/16/n)
    assert (d - c) == pytest.approx(2 * 1.96 * (3 / 16 / 4000) ** 0.5, rel=0.1)


def test_answers_that_never_vary_have_no_spread():
    assert interval(np.ones(10, bool)) == (1, 1)
    assert interval(np.zeros(10, bool)) == (0, 0)


def test_the_same_answers_give_the_same_interval():
    right = np.arange(50) % 3 > 0
    assert interval(right) == interval(right)


def test_mcnemar_looks_only_at_questions_on_which_the_two_differ():
    ours = np.array([1] * 100 + [1] * 9 + [0] * 1, bool)
    theirs = np.array([1] * 100 + [0] * 9 + [1] * 1, bool)
    # ten coins, nine heads: P(at most one tail) = 11/1024, two-sided twice that
    assert mcnemar(ours, theirs) == pytest.approx(22 / 1024)
    assert mcnemar(theirs, ours) == mcnemar(ours, theirs)


def test_mcnemar_of_equals_is_one():
    right = np.arange(30) % 2 > 0
    assert mcnemar(right, right) == 1
    assert mcnemar(np.array([1, 0], bool), np.array([0, 1], bool)) == 1


def test_the_interval_of_a_difference_is_that_of_its_pairs():
    more = np.repeat([1, 0, -1], [30, 60, 10])
    low, high = interval(more)
    # variance of a pair: E[x^2] - E[x]^2 = .4 - .04
    assert (high - low) == pytest.approx(2 * 1.96 * (0.36 / 100) ** 0.5, rel=0.1)
    assert low < 0.2 < high


def test_an_interval_of_many_answers_is_drawn_in_parts_that_change_nothing(monkeypatch):
    values = np.arange(70) % 3 / 2
    whole = interval(values)
    monkeypatch.setattr("explorer.metrics.significance.AT_ONCE", 1000)
    assert interval(values) == whole


def test_graded_scores_are_compared_by_flipping_signs():
    ours, theirs = np.array([1.0] * 9 + [0]), np.array([0.0] * 9 + [1])
    assert paired(ours, theirs) == mcnemar(ours, theirs) == 22 / 1024
    assert sign_flips(ours, theirs) == pytest.approx(22 / 1024, rel=0.1)
    graded = ours * 0.6
    assert paired(graded, theirs * 0.6) == pytest.approx(22 / 1024, rel=0.1)
    assert paired(graded, graded) == 1
    assert paired(np.full(40, 0.9), np.full(40, 0.3)) < 1e-4


def test_holm_raises_the_smallest_most_and_keeps_the_order():
    assert np.allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert np.allclose(holm(np.array([0.5, 0.9])), [1, 1])


def test_holm_counts_only_tests_that_were_made():
    adjusted = holm(np.array([np.nan, 0.02, np.nan, 0.01]))
    assert np.isnan(adjusted[[0, 2]]).all() and np.allclose(adjusted[[1, 3]], [0.02, 0.02])
