"""Own pictures: bad lines are named and skipped, and a failure is what it claims to be."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from explorer import analyses
from explorer.analyses.failures import Asked, judge
from explorer.analyses.failures.own_pictures import (
    BadLine,
    lines_of_folder,
    opened,
    read_lines,
    streamed,
)
from explorer.cases.request import CaseRequest
from explorer.errors import BadMessage
from explorer.media.image import open_picture
from explorer.pico.data import scenes
from explorer.tools.failures import find as tool

QUESTION = "what is in the middle ?"
LINES = [
    {"picture": "a.png", "question": QUESTION, "answer": "a submarine"},
    {"picture": "b.png", "question": QUESTION, "more": 1},
    {"picture": "a.png", "question": " "},
    {"picture": "a.png"},
    {"picture": "none.png", "question": QUESTION},
    {"picture": "../a.png", "question": QUESTION},
    {"picture": "notes.png", "question": QUESTION, "answer": 3},
    {"picture": "a\0.png", "question": QUESTION},
    ["a list"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("pictures")
    for name, seed in (("a.png", 11), ("b.png", 103)):
        scenes.make(seed).image.save(place / name)
    (place / "notes.png").write_text("these are notes")
    text = "\n".join(["", *map(json.dumps, LINES), '{"half', ""])
    (place / "data.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\n\xff\xfe{}\r\n")
    return place


def test_bad_lines_are_named_by_their_number_and_the_others_count(folder):
    good, bad = read_lines((folder / "data.jsonl").read_bytes())
    assert [(line.number, line.picture) for line in good[:2]] == [(2, "a.png"), (3, "b.png")]
    assert (good[0].answer, good[1].answer, good[4].answer) == ("a submarine", None, "3")
    told = [str(line) for line in bad]
    assert [line.split(":")[0] for line in told] == [f"line {n}" for n in (4, 5, 10, 11, 13)]
    assert "type a question" in told[0] and "has no question" in told[1]
    assert "no JSON object" in told[2] and "no JSON" in told[3] and "UTF-8" in told[4]


def test_lines_may_hold_many_answers_and_choices_in_the_fields_of_benchmarks(tmp_path):
    lines = [
        {"picture": "a.png", "question": QUESTION, "answers": ["sofa", " couch ", "", "couch"]},
        {"image": "a.png", "text": QUESTION, "label": "yes"},
        {"image": "a.png", "question": QUESTION, "answers": [{"answer": "2", "answer_id": 1}]},
        {"image": "a.png", "question": QUESTION, "options": {"B": "a dog", "A": "a cat"}},
        {"image": "a.png", "question": QUESTION, "choices": ["alone"], "answer": "A"},
        {"image": "a.png", "question": QUESTION, "choices": ["x" * 200] * 3, "answer": "A"},
        {"image": "a.png", "question": QUESTION, "answers": [["nested"]]},
        {"image": "a.png", "question": QUESTION, "answer": "x" * 1_000_000},
    ]
    file = tmp_path / "lines.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)) + "\n" + json.dumps(lines[1]))
    people, pope, vqa, choice, *bad, last = streamed(file)
    assert people.accepted == ("sofa", "couch", "couch") and people.answer == "couch"
    assert (pope.question, pope.accepted, vqa.accepted) == (QUESTION, ("yes",), ("2",))
    assert choice.choices == ("a cat", "a dog") and choice.prompt.startswith(
        f"{QUESTION} A. a cat B. a dog Answer with"
    )
    assert [line.number for line in bad] == [5, 6, 7, 8] and last.number == 9
    said = " ".join(map(str, bad))
    assert "choices can't be used" in said and "under 501" in said and "1,000,000 bytes" in said


def test_pictures_that_can_not_be_used_are_named_too(folder):
    good, _ = read_lines((folder / "data.jsonl").read_bytes())
    found = list(opened(good, folder))
    assert [each.name for each in found if isinstance(each, Asked)] == ["a.png", "b.png"]
    told = [str(each) for each in found if isinstance(each, BadLine)]
    assert len(told) == 4 and "no such picture" in told[0] and "outside" in told[1]
    assert "not a picture" in told[2] and told[3].startswith("line 9")


def test_every_picture_of_a_folder_can_be_asked_the_same(folder):
    lines = lines_of_folder(folder, QUESTION)
    assert [line.picture for line in lines] == ["a.png", "b.png", "notes.png"]


def test_without_a_known_answer_the_full_one_counts_as_right(folder):
    picture = open_picture(folder / "b.png")
    full = analyses.answer(CaseRequest.make("pico", picture, QUESTION))
    pruned = analyses.answer(CaseRequest.make("pico", picture, QUESTION), "random", 2)
    [hit] = judge([Asked(picture, QUESTION, None, name="b.png")], "random", 2)
    assert (hit.truth, hit.wrong, hit.picture) == (full.text, pruned.text, "b.png")
    told = [Asked(picture, QUESTION, "a submarine")]
    assert judge(told, "random", 2) == [], "the full model is wrong there as well"
    assert [hit.truth for hit in judge(told, "random", 2, right="full")] == [full.text]
    with pytest.raises(BadMessage):
        judge(told, "random", 2, right="mine")


def test_the_command_prints_failures_and_counts_what_it_skipped(folder, monkeypatch, capsys):
    data = folder / "data.jsonl"
    words = ["--method", "random", "--budget", 2, "--data", data, "--images", folder]
    monkeypatch.setattr(sys, "argv", ["failures", *map(str, words)])
    tool.main()
    *skipped, hit, end = capsys.readouterr().out.splitlines()
    assert end == "1 failures in 2 questions, 9 skipped" and hit.startswith("b.png  sure")
    numbers = [int(line.removeprefix("skipped, line ").split(":")[0]) for line in skipped]
    assert numbers == [4, 5, 6, 7, 8, 9, 10, 11, 13]
