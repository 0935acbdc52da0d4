"""Lessons are read with all that they say, and a mistake is named with its line and field."""

from __future__ import annotations

import json

import pytest

from explorer.errors import CannotStart
from explorer.ui import examples
from explorer.ui.explore import lessons

GOOD = """title: What stays?
about: What stays decides.
steps:
  - title: One
    text: It says “{full}”.
    show: {example: find, budget: 64}
  - title: Two
    text: Now less.
    show: {budget: 32, method: "fopru?strategy=row&"}
    guess: {kind: survives, question: "Does it stay at {budget}?"}
"""
MISTAKES = {
    "budget: 64": ("budget: many", 6, "steps → 1 → show → budget"),
    "example: find": ("example: finds", 6, "there is no example 'finds'"),
    "fopru?strategy=row&": ("fatsv", 9, "steps → 2 → show → method"),
    "{full}": ("{answer}", 5, "{answer} means nothing"),
    "about: ": ("abuot: ", 2, "abuot"),
    "kind: survives": ("kind: lives", 10, "steps → 2 → guess"),
    "survives, question": ("keeper, question", 10, "a keeper and a choice have options"),
    "text: Now less.": ("text: [Now", 9, "no YAML"),
}


def test_what_a_step_leaves_out_is_as_in_the_step_before(tmp_path):
    file = tmp_path / "stays.yaml"
    file.write_text(GOOD, encoding="utf-8")
    lesson = lessons.read(file)
    first, second = lessons.states(lesson)
    seed = examples.load("find")["seed"]
    assert (first["scene"], first["budget"], first["tab"]) == (seed, 64, "Explore")
    assert (second["scene"], second["budget"]) == (seed, 32)
    assert second["question"] == first["question"] == examples.load("find")["case"]["question"]
    assert second["method"] == "fopru:row"
    (told,) = json.loads(lessons.payload({"stays": lesson}))
    assert told["steps"][1]["show"] == second and told["steps"][1]["guess"]["kind"] == "survives"


@pytest.mark.parametrize("right", MISTAKES)
def test_a_mistake_is_told_with_its_file_line_and_field(tmp_path, right):
    wrong, line, said = MISTAKES[right]
    assert GOOD.count(right) == 1
    file = tmp_path / "stays.yaml"
    file.write_text(GOOD.replace(right, wrong), encoding="utf-8")
    with pytest.raises(CannotStart) as error:
        lessons.read(file)
    assert "stays.yaml" in str(error.value) and said in str(error.value), str(error.value)
    assert f"Line {line}," in str(error.value), str(error.value)


def test_without_the_first_lesson_nothing_is_served(tmp_path):
    with pytest.raises(CannotStart, match=r"tokens\.yaml"):
        lessons.load(tmp_path)


def test_the_first_lesson_comes_first():
    assert next(iter(lessons.load())) == lessons.FIRST
