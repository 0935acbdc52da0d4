"""What a frame is asked for: lists that models write, words that visitors type."""

from __future__ import annotations

import pytest

from explorer.analyses.video import frame_scoring
from explorer.pico.data import frame_questions
from explorer.pico.data.grammar import KINDS
from explorer.pico.data.vocabulary import WORDS


@pytest.mark.parametrize(
    ("reply", "things"),
    [
        ('Step 1: Yes\nStep 2: ["Dog", "run"]\nStep 3: ["dog"]', ["dog"]),
        ("step 1: yes step 2: [] step 3: [red car , 'woman', red car]", ["red car", "woman"]),
        ('Step 1: no\nStep 2: ["mood"]\nStep 3: ["mood"]', []),
        ("Step 1: yes\nStep 3: null", []),
        ("Step 1: yes\nStep 3: []", []),
        ("I can't help with that.", []),
        ("", []),
    ],
)
def test_a_models_list_is_read_and_what_is_none_is_empty(reply, things):
    assert frame_scoring.listed(reply) == things


def test_a_visitors_words_are_parted_by_commas():
    assert frame_scoring.typed("  an Owl, red   circle;; owl , owl") == [
        "an owl",
        "red circle",
        "owl",
    ]
    assert frame_scoring.typed(" , ") == []
    assert len(frame_scoring.typed(",".join(map(str, range(99))))) == frame_scoring.MOST_THINGS


def test_a_frame_is_asked_for_all_things_at_once_or_else_whether_it_is_enough():
    asked = frame_scoring.frame_question(["dog", "bridge"], "why ?")
    assert asked.startswith("Does the image contain any object of dog, bridge? A. yes, B. no")
    assert frame_scoring.frame_question([], "why ?").startswith(
        "why ?\nDoes the image contain suff"
    )


@pytest.mark.parametrize(
    ("question", "things"),
    [
        ("is there an owl in the picture ?", ["owl"]),
        ("How many owls and mice are there?", ["owl", "mouse"]),
        ("what is above the red circle ?", ["red circle"]),
        ("what color is the circle ?", ["circle"]),
        ("what animals do you see ?", ["animal"]),
        ("what does the sign say ?", ["sign"]),
        ("what is in the middle ?", []),
    ],
)
def test_the_built_in_models_things_are_found_in_the_question(question, things):
    assert frame_questions.things_in(question) == things


def test_the_built_in_model_is_asked_in_words_it_was_trained_on():
    wording = next(w for w in KINDS["exist"].wordings if "in the picture" in w)
    assert frame_questions.frame_question("owl") == wording.format(x="an owl")
    assert frame_questions.frame_question("food") == wording.format(x="food")
    for name in frame_questions.NAMES:
        assert set(frame_questions.frame_question(name).split()) <= set(WORDS)
