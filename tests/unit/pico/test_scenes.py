"""Scenes are the same wherever they are drawn, and the answers that go with them are right."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from PIL import Image

from explorer.pico.data import icons, questions, scenes
from explorer.pico.data.grammar import KINDS
from explorer.pico.data.vocabulary import ANIMALS, NUMBERS, OBJECTS, PLACES, encode, plural

SEEDS = range(40)


def fingerprint(seed: int) -> str:
    scene = scenes.make(seed)
    return hashlib.sha256(scene.image.tobytes() + repr(scene.things).encode()).hexdigest()


def test_a_seed_gives_one_scene_and_other_seeds_give_others():
    assert fingerprint(7) == fingerprint(7)
    assert len({fingerprint(seed) for seed in SEEDS}) == len(SEEDS)


def test_another_process_draws_the_same_scene():
    code = (
        "import hashlib; from explorer.pico.data import scenes; s = scenes.make(7);"
        "print(hashlib.sha256(s.image.tobytes() + repr(s.things).encode()).hexdigest())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "123"},
    )
    assert found.stdout.strip() == fingerprint(7)


@pytest.mark.parametrize("dense", [False, True])
def test_every_thing_lies_in_the_picture_in_a_cell_of_its_own(dense):
    for seed in SEEDS:
        scene = scenes.make(seed, dense=dense)
        assert scene.image.size == (224, 224) and scene.image.mode == "RGB"
        assert 1 <= len(scene.things) <= 9
        assert len({thing.cell for thing in scene.things}) == len(scene.things)
        for thing in scene.things:
            x0, y0, x1, y1 = thing.box
            assert 0 <= x0 < x1 <= 224 and 0 <= y0 < y1 <= 224
            row, column = int((y0 + y1) / 2 / scenes.CELL), int((x0 + x1) / 2 / scenes.CELL)
            assert thing.cell == row * 3 + column


def test_what_is_drawn_differs_from_the_background_exactly_where_the_boxes_are(monkeypatch):
    monkeypatch.setattr(scenes, "_weathered", lambda image, rng: image)
    for seed in SEEDS:
        drawn = scenes.make(seed)
        with monkeypatch.context() as patch:
            patch.setattr(scenes, "_add_thing", lambda *_: None)
            empty = scenes.make(seed)
        for thing in drawn.things:
            assert drawn.image.crop(thing.box).tobytes() != empty.image.crop(thing.box).tobytes()
            for picture in (drawn.image, empty.image):
                x0, y0, x1, y1 = thing.box
                picture.paste((0, 0, 0), (x0, y0, x1 + 1, y1 + 1))
        assert drawn.image.tobytes() == empty.image.tobytes()


def test_a_sheet_of_icons_gives_back_what_was_put_on_it(tmp_path):
    drawn = {
        name: Image.new("RGBA", (30 + number % 70, icons.SIDE - number % 50), (number, 80, 9, 255))
        for number, name in enumerate(OBJECTS)
    }
    icons.write_sheet(drawn, tmp_path / "plain.webp")
    (again,) = icons.read_styles(tmp_path)
    for name in OBJECTS:
        assert again[name].size == drawn[name].size
        assert again[name].tobytes() == drawn[name].tobytes()


def test_there_is_a_shipped_icon_for_every_object():
    shipped = icons.load()
    assert list(shipped) == list(OBJECTS)
    for icon in shipped.values():
        assert icon.mode == "RGBA" and 20 < max(icon.size) <= icons.SIDE
    assert len({icon.tobytes() for icon in shipped.values()}) == len(OBJECTS)


def test_objects_are_taken_from_the_styles_that_are_asked_for():
    blank = {name: Image.new("RGBA", (50, 50), (255, 0, 255, 255)) for name in OBJECTS}
    scene = scenes.make(7, icons=[blank])
    plain = scenes.make(7)
    assert [t.name for t in scene.things] == [t.name for t in plain.things]
    assert scene.image.tobytes() != plain.image.tobytes()


def test_simple_answers_agree_with_counting_by_hand():
    for seed in SEEDS:
        scene = scenes.make(seed)
        truths, things = questions.truths(scene), scene.things
        assert truths["how many things are there ?"] == NUMBERS[len(things)]
        for cell, place in enumerate(PLACES):
            (answer,) = [t.name for t in things if t.cell == cell] or ["nothing"]
            assert truths[f"what is at the {place} ?"].endswith(answer)
        for name in ("owl", "car"):
            found = [t for t in things if t.kind == "object" and t.name == name]
            assert truths[f"how many {plural(name)} are there ?"] == NUMBERS[len(found)]
            if len(found) != 1:
                assert f"where is the {name} ?" not in truths
        for thing in things:
            if thing.kind == "object" and sum(t.name == thing.name for t in things) == 1:
                assert truths[f"where is the {thing.name} ?"] == f"at the {PLACES[thing.cell]}"
        animals = sum(thing.name in ANIMALS for thing in things)
        assert truths["is there an animal ?"] == ("yes" if animals else "no")
        signs = [t.name for t in things if t.kind == "word"]
        expected = signs[0] if len(signs) == 1 else None
        assert truths.get("what does the sign say ?") == expected


def thing(name: str, cell: int, kind: str = "object", color: str | None = None) -> scenes.Thing:
    return scenes.Thing(kind, name, color, cell, (0, 0, 10, 10))


def test_a_scene_put_together_by_hand_has_the_answers_one_would_give():
    things = (
        thing("owl", 4),
        thing("apple", 3),
        thing("circle", 1, "shape", "red"),
        thing("stop", 8, "word"),
        thing("owl", 0),
    )
    truths = questions.truths(scenes.Scene(scenes.make(0).image, things, 0))
    assert truths["what is in the middle ?"] == "an owl"
    assert truths["what is to the right of the apple ?"] == "an owl"
    assert truths["what is above the apple ?"] == "an owl"
    assert truths["what is below the apple ?"] == "nothing"
    assert "what is left of the apple ?" not in truths, "there is no cell left of it"
    assert "what is above the owl ?" not in truths, "there are two owls"
    assert truths["what color is the circle ?"] == "red"
    assert truths["how many owls do you see ?"] == "two"
    assert truths["how many cats do you see ?"] == "zero"
    assert truths["list the animals in the picture ."] == "an owl , an owl"
    assert truths["which vehicles are there ?"] == "none"
    assert truths["is there a sign ?"] == "yes"
    assert truths["describe the picture ."] == (
        "an owl at the top left , a red circle at the top , an apple at the left , "
        "an owl at the middle , a sign saying stop at the bottom right"
    )


def test_every_question_and_answer_is_made_of_words_that_the_model_knows():
    for seed in SEEDS:
        for question, answer in questions.truths(scenes.make(seed)).items():
            assert encode(question) and encode(answer)
            assert questions.normalise(question) == question


def test_answers_are_looked_up_quickly():
    scene = scenes.make(3)
    best = min(timed(questions.truths, scene) for _ in range(5))
    assert best < 0.05


def timed(function, *arguments) -> float:
    """Measure the processor time of a call; what else is at work does not count."""
    start = time.thread_time()
    function(*arguments)
    return time.thread_time() - start


def test_a_question_is_found_however_it_is_typed():
    truths = questions.truths(scenes.make(3))
    for typed in ("What is in the middle?", "  what is in the  MIDDLE ?", "what is in the middle"):
        assert questions.normalise(typed) in truths
    assert questions.normalise("Describe the picture") in truths
    assert questions.normalise("") == ""


def test_suggestions_fit_the_scene_and_are_of_different_kinds():
    for seed in SEEDS:
        scene = scenes.make(seed)
        suggested = questions.suggest(scene)
        truths = questions.truths(scene)
        assert len(set(suggested)) == len(suggested) == 5
        assert all(question in truths for question in suggested)
        assert suggested == questions.suggest(scene)
        signs = [t for t in scene.things if t.kind == "word"]
        assert ("what does the sign say ?" in suggested) == (len(signs) == 1)
        assert not any(truths[q] == "nothing" for q in suggested)
    assert any(questions.suggest(scenes.make(3), seed=s) != suggested for s in range(5))


def test_general_questions_use_known_words():
    assert all(encode(question) for question in questions.GENERAL_QUESTIONS)


def test_sampled_questions_are_true_and_cover_every_kind():
    rng, kinds = random.Random(0), set()
    for seed in range(60):
        scene = scenes.make(seed)
        truths = questions.truths(scene)
        asked = questions.sample(scene, rng, 16)
        assert len({one.text for one in asked}) == len(asked)
        for one in asked:
            assert truths[one.text] == one.answer
            assert set(one.targets) <= set(scene.things)
            kinds.add(one.kind)
    assert kinds == set(KINDS)
