"""The rules of scoring, by examples: what each benchmark would count as right."""

from __future__ import annotations

import pytest

from explorer.metrics.scoring import choice_letter, rules
from explorer.metrics.scoring.vqa_accuracy import normalise, vqa_accuracy

CHOICES = ("a cat", "a dog", "a small dog", "nothing")


def test_vqa_accuracy_leaves_each_of_ten_people_out_in_turn():
    for matches, wanted in ((0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)):
        given = ["red"] * matches + [f"other {n}" for n in range(10 - matches)]
        assert vqa_accuracy("Red.", given) == pytest.approx(wanted), matches
    assert vqa_accuracy("red", ["Red"]) == 1 and vqa_accuracy("red", ["blue"]) == 0
    assert vqa_accuracy("red", ["red", "red", "maroon"]) == pytest.approx(4 / 9)


def test_vqa_answers_are_written_alike_before_they_are_compared():
    for said, written in {
        "The  Two\tdogs!": "2 dogs", "an apple": "apple", "None": "0", "t-shirt": "t shirt",
        "red, white": "red white", "1,000 people": "1000 people", "3.5": "3.5", "U.S.": "us",
        "yes.": "yes", "a/b": "b", "12:30": "12:30", "": "", "$5 (five)": "$5 5",
    }.items():  # fmt: skip
        assert normalise(said) == written, said
    for one, other in (("dont", "don't"), ("couldn'tve", "couldnt've"), ("oclock", "o'clock")):
        assert normalise(one) == normalise(other)
    assert normalise("its") != normalise("it's"), "the official list doesn't have it"


def test_the_letter_of_a_choice_is_found_in_what_is_said():
    for said, letter in {
        "B": "B", "b": "B", "(b)": "B", "B.": "B", "B. a dog": "B", "(C) because": "C",
        "The answer is B.": "B", "answer: (D)": "D", "Option C is the one": "C",
        "Not (A), it is (B)": "B", "A or rather B": "B", "it must be D": "D", "A is right": "A",
        "A dog": "B", "A small dog sits there": "C", "I think it is a cat": "A", "Nothing": "D",
        "The answer is a dog": "B", "E": None, "": None, "who knows": None, "catalogue": None,
    }.items():  # fmt: skip
        assert choice_letter.letter_of(said, CHOICES) == letter, said
    assert choice_letter.letter_of("F") == "F" and choice_letter.letter_of("I don't know") is None
    assert choice_letter.listed(CHOICES[:2]) == "A. a cat B. a dog"


def test_every_rule_scores_by_what_it_asks_for():
    assert rules.score("exact", "The Sofa!", ["couch", "sofa"]) == 1
    assert rules.score("exact", "a chair", ["couch", "sofa"]) == 0
    for said, yes in (("Yes, there is.", 1), ("No.", 0), ("it is not", 0), ("Nope", 1)):
        assert rules.score("yesno", said, ["yes"]) == yes
        assert rules.score("yesno", said, ["No"]) == 1 - yes
    assert rules.score("choice", "B.", ["a dog"], CHOICES) == 1
    assert rules.score("choice", "B.", ["(A)"], CHOICES) == 0
    assert rules.score("vqa", "red", ["red"] * 2 + ["blue"] * 8) == pytest.approx(0.6)
    for rule, accepted in (("yesno", ["maybe"]), ("yesno", ["yes", "no"]), ("choice", ["E"])):
        with pytest.raises(ValueError, match="accepted answer"):
            rules.score(rule, "yes", accepted, CHOICES)


def test_the_rule_is_told_by_the_accepted_answers():
    assert rules.rule_for(["B"], CHOICES) == "choice"
    assert rules.rule_for(["yes"] * 10) == rules.rule_for(["red"] * 10) == "vqa"
    assert rules.rule_for(["Yes"]) == "yesno"
    assert rules.rule_for(["couch", "sofa"]) == rules.rule_for(["yes", "no"]) == "exact"
