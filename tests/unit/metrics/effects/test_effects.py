"""Hallucination, stability and calibration on answers whose numbers are known."""

from __future__ import annotations

import random

import numpy as np
import pytest

from explorer.metrics.effects import calibration, chair, pope, stability
from explorer.metrics.effects.chair import Captioned, Lexicon
from explorer.metrics.effects.pope import Confusion, Corpus

PICTURES = [["cat", "dog", "owl"], ["cat", "dog"], ["bus", "cat", "cat"], ["sun"]]
LEXICON = Lexicon.of(
    [["person", "man"], ["traffic light"], ["bird"], ["toilet"], ["chair", "seat"]]
)


def test_negatives_follow_their_strategy_and_never_repeat():
    corpus = Corpus(PICTURES)
    for strategy in pope.STRATEGIES:
        for names in PICTURES:
            asked = pope.probes(names, corpus, strategy, random.Random(1))
            things = [probe.thing for probe in asked]
            assert len(set(things)) == len(things)
            assert all(probe.there == (probe.thing in names) for probe in asked)
    popular = pope.probes(["sun"], corpus, "popular", random.Random(0))
    assert [probe.thing for probe in popular] == ["sun", "cat"]
    beside = pope.probes(["owl"], Corpus([["owl", "bus"], ["sun"], ["sun"]]), "adversarial", None)
    assert [probe.thing for probe in beside] == ["owl", "bus"]


def test_where_everything_is_there_nothing_else_is_asked_about():
    asked = pope.probes(["a", "b"], Corpus([["a", "b"]]), "random", random.Random(0))
    assert [probe.thing for probe in asked] == ["a", "b"]


def test_questions_have_their_article_and_keep_the_word_image():
    assert pope.question("owl") == "Is there an owl in the image?"
    assert pope.question("bus") == "Is there a bus in the image?"


def test_answers_are_read_by_the_official_rule_with_its_quirks():
    no = ("No", "no.", "I do not see one. Yes", "No, there is none")
    yes = ("Yes", "None", "Nope", "", "yes. no", "NO")
    assert not any(map(pope.says_yes, no)) and all(map(pope.says_yes, yes))


def test_nothing_said_to_be_there_has_no_precision_and_no_crash():
    never = Confusion.of([False, False], [True, False])
    assert (never.precision, never.recall, never.f1, never.accuracy) == (0, 0, 0, 0.5)
    assert Confusion.of([], []).accuracy == 0


def test_every_change_and_mistake_has_its_name():
    assert pope.change(full=True, pruned=False, there=True) == "broken"
    assert pope.change(full=True, pruned=False, there=False) == "fixed"
    assert pope.change(full=True, pruned=True, there=False) == ""
    assert [pope.mistake(*pair) for pair in [(True, False), (False, True), (True, True)]] == [
        "hallucinated", "lost", "",
    ]  # fmt: skip


def test_mentions_know_their_place_and_recall_stands_beside_hallucination():
    caption = "A baby bird, a man and a Traffic Light by the seat of a toilet"
    read = Captioned.of(caption, ["bird", "man", "toilet", "chair"], LEXICON)
    places = [caption[m.start : m.stop].lower() for m in read.mentions]
    assert places == ["baby bird", "man", "traffic light", "toilet"]
    assert [m.thing for m in read.hallucinated] == ["traffic light"]
    assert (read.chair_i, read.chair_s, read.recall) == (0.25, 1, 0.75)
    silent = Captioned.of("", ["bird"], LEXICON)
    assert (silent.chair_i, silent.chair_s, silent.recall) == (0, 0, 0)
    assert chair.chair_i([read, silent]) == 0.25 and chair.chair_s([read, silent]) == 0.5
    assert chair.recall([read, silent]) == 3 / 5


def test_the_grid_has_ten_budgets_above_the_floor():
    assert stability.budget_grid(196)[-1] == 196 and len(stability.budget_grid(196)) == 10
    assert stability.budget_grid(196, floor=60) == (60, 78, 98, 118, 137, 157, 176, 196)
    assert stability.budget_grid(1) == (1,)


def test_an_answer_that_contradicts_itself_is_noticed():
    assert stability.verdict_changes("Yes, it is. No, it is not. no") == 1
    assert stability.verdict_changes("nothing known") == 0
    assert stability.share_that_keep(["a cat", "The cat.", "dog"], "cat") == pytest.approx(2 / 3)


def test_one_as_often_right_as_sure_has_no_calibration_error():
    assert calibration.ece([0.75] * 4, [True, True, True, False]) == pytest.approx(0)
    assert calibration.ece([1.0, 1.0], [True, False]) == pytest.approx(0.5)
    mixed = calibration.ece([0.95, 0.95, 0.55, 0.55], [1, 1, 0, 0])
    assert mixed == pytest.approx((0.05 + 0.55) / 2)
    assert calibration.brier([1.0, 0.8], [True, False]) == pytest.approx(0.32)
    assert np.isnan(calibration.ece([], [])) and np.isnan(calibration.brier([], []))
