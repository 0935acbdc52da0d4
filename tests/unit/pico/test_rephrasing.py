"""Questions in other words and the other way round: the grammar's own answers stay consistent."""

from __future__ import annotations

import random

from explorer.pico.data import scenes
from explorer.pico.data.questions import sample, truths
from explorer.pico.data.rephrasing import converse, paraphrases, parse


def test_other_wordings_have_the_same_right_answer():
    for seed in range(12):
        scene = scenes.make(seed)
        right = truths(scene)
        for question in sample(scene, random.Random(seed), 8):
            others = paraphrases(question.text)
            assert others and question.text not in others
            assert {right[other] for other in others} == {question.answer}, question


def test_the_truth_is_consistent_with_its_converse():
    kinds = set()
    for seed in range(40):
        scene = scenes.make(seed)
        right = truths(scene)
        for question in sample(scene, random.Random(seed), 8):
            back = converse(question.text, question.answer)
            if back is None or back.question not in right:
                continue  # a thing that is there twice has no one place
            assert back.holds(right[back.question]), (question, back)
            kinds.add(question.kind)
    assert kinds == {"at", "where", "exist", "count", "rel"}


def test_an_answer_that_contradicts_is_noticed():
    back = converse("Is there an owl?", "no")
    assert back.question == "how many owls are there ?" and back.expected == "zero"
    assert not back.holds("two") and back.holds("zero")
    sign = converse("what is above the sign ?", "an owl")
    assert sign.question == "what is below the owl ?" and sign.holds("a sign saying stop")
    assert sign.counted == "how many owls are there ?" and not back.counted


def test_what_pico_is_never_asked_has_neither():
    for question in ("is the star left of the moon ?", "why ?", "find the zeppelin ."):
        assert parse(question) is None
        assert paraphrases(question) == [] and converse(question, "yes") is None
    assert converse("what is at the top ?", "nothing") is None
    assert parse("what is in the picture ?")[0] == "list"
    assert parse("Is there an owl in the image?") == ("exist", {"x": "an owl"})
