"""What is asked about, and what counts as naming it."""

from __future__ import annotations

import pytest

from explorer.analyses.effects import things
from explorer.analyses.effects.things import AskedThing
from explorer.errors import BadMessage
from explorer.metrics.effects.chair import mentions
from explorer.metrics.effects.pope import Corpus
from explorer.pico.data import scenes


def named(caption: str, more: list[tuple[str, ...]] | None = None) -> list[str]:
    return [each.thing for each in mentions(caption, things.lexicon(more or ()))]


def test_what_a_sign_says_is_not_shown():
    assert named("a sign saying taxi at the top , a taxi at the left") == ["sign", "taxi"]
    assert named("an orange circle at the left , an orange") == ["orange circle", "orange"]


def test_plurals_and_synonyms_name_the_thing():
    assert named("two puppies, three men and several buses") == ["dog", "bus"]
    assert named("a couch, my sofa", [("couch",)]) == ["couch", "couch"]
    assert named("women, a man") == ["person"]  # no plural that a plain rule doesn't give
    assert named("grapes and scissors, a hot dog, cherries") == [
        "grapes", "scissors", "hot dog", "cherries",
    ]  # fmt: skip
    assert named("my teapots, a Coffee Pot", [("kettle", "teapot"), ("coffee pot",)]) == [
        "kettle", "coffee pot",
    ]  # fmt: skip


def test_a_scene_is_asked_about_what_is_there_with_its_boxes_and_what_is_not():
    scene = scenes.make(11)
    corpus = Corpus([["owl", "boat"], ["owl", "bus"]])
    asked = things.asked_of_scene(scene, "adversarial", corpus=corpus)
    assert [(each.name, each.why) for each in asked] == [
        ("boat", "there"), ("owl", "adversarial"), ("duck", "there"), ("bus", "there"),
    ]  # fmt: skip
    assert [bool(each.boxes) for each in asked] == [True, False, True, True]
    assert things.built_in_corpus().names, "the file of the built-in scenes is there"


def test_what_a_visitor_types_is_read_and_checked():
    assert things.typed("Dog / puppy,  red  ball ,", "cat") == [
        AskedThing("dog", True), AskedThing("red ball", True), AskedThing("cat", False),
    ]  # fmt: skip
    assert things.groups("Dog / puppy") == [("dog", "puppy")]
    for there, absent in (("dog", "dog"), ("x" * 41, ""), (",".join("abcdefghijklmn"), "")):
        with pytest.raises(BadMessage):
            things.typed(there, absent)
