"""Every verdict follows from its findings, and says in one sentence why."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from explorer.analyses.diagnosis.evidence import NamedBox, patches_in_words, things_of
from explorer.analyses.diagnosis.sentences import Reasons, RightAnswer, sentence_of
from explorer.analyses.diagnosis.verdict import Findings, Verdict, decide
from explorer.analyses.diagnosis.word_losses import WordLoss, word_losses
from explorer.cases.records import Answer, Token
from explorer.media.grid import Grid, View
from explorer.pico.data import scenes

BROKEN = Findings(full=True, pruned=False)
WHY = Reasons(
    method="FastV",
    budget=64,
    right=RightAnswer("a duck", "a duck"),
    full="a duck",
    pruned="a boat",
    blind="a sign",
    returned="2 patches of the duck",
)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Findings(full=False, pruned=False, restored=True), Verdict.MODEL_WRONG),
        (Findings(full=False, pruned=True, blind=True), Verdict.MODEL_WRONG),
        (Findings(full=True, pruned=True, blind=False), Verdict.NOTHING_BROKE),
        (Findings(full=True, pruned=True, blind=True), Verdict.NOT_LOOKING),
        (replace(BROKEN, other_positions=True, alone=True, restored=True), Verdict.POSITIONS),
        (replace(BROKEN, other_positions=False, alone=True, merges=True), Verdict.MERGED),
        (replace(BROKEN, alone=True, blind=True, restored=True), Verdict.LAYERS),
        (replace(BROKEN, blind=True, restored=True), Verdict.NOT_LOOKING),
        (replace(BROKEN, blind=False, restored=True), Verdict.EVIDENCE),
        (replace(BROKEN, blind=False, restored=False), Verdict.UNEXPLAINED),
        (BROKEN, Verdict.UNEXPLAINED),
    ],
)
def test_findings_lead_to_a_verdict(found, verdict):
    assert decide(found) is verdict


def test_every_verdict_is_one_sentence_that_begins_with_it():
    sentences = [sentence_of(verdict, WHY) for verdict in Verdict]
    assert len(set(sentences)) == len(Verdict)
    for verdict, sentence in zip(Verdict, sentences, strict=True):
        assert sentence.lower().startswith(verdict) and sentence.endswith(".")
    assert "with 2 patches of the duck back it says “a duck”" in sentence_of(Verdict.EVIDENCE, WHY)


def test_without_a_truth_the_full_answer_stands_in_for_it():
    right = RightAnswer(None, "A duck.")
    assert right.is_given_by("a duck") and not right.is_given_by("a boat")
    assert right.judged("duck") == "“duck”, which is the full answer"
    assert RightAnswer("a boat", "a duck").judged("the duck") == "“the duck”, which is wrong"


def test_patches_are_named_after_the_things_below_them():
    boxes = np.array([[0, 0, 8, 8], [8, 0, 16, 8], [0, 8, 8, 16], [8, 8, 16, 16]], np.float32)
    place = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]], np.int16)
    view = View("whole", 2, 2, (0, 0, 16, 16))
    grid = Grid(16, 16, (view,), place, boxes, np.arange(4)[:, None])
    cheese = NamedBox("cheese", (0, 0, 16, 7))  # most of the upper row, none of the lower one
    words = patches_in_words(grid, [0, 1, 2], [cheese])
    assert words == "2 patches of the cheese and 1 of the background"
    assert patches_in_words(grid, [3]) == "1 patch (row 2, column 2)"
    assert patches_in_words(grid, []) == "no patch"


def test_things_of_a_scene_have_their_names():
    assert len(things_of(7)) == len(scenes.make(7).things) and things_of(None) == ()


def test_a_words_loss_is_the_sum_of_its_tokens():
    full = Answer("full", 4, "a lap top", (Token("a", 1), Token(" lap", 1), Token("top", 1)))
    pruned = replace(full, method="fastv", token_losses=(0.5, 1.0, 2.0, 9.0))
    assert word_losses(full, pruned) == (WordLoss("a", 0.5), WordLoss("laptop", 3.0))
    assert word_losses(full, replace(pruned, token_losses=())) == ()
    assert math.isclose(sum(each.loss for each in word_losses(full, pruned)), 3.5)
