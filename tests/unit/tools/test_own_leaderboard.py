"""The leaderboard of own pictures: how it scores, what it asks again, and what opens later."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from explorer.analyses.sharing import case_file
from explorer.analyses.sharing.replay import replay
from explorer.metrics.leaderboard.table import read_table
from explorer.pico.data import scenes
from explorer.tools.leaderboard import own_data, own_log, run
from explorer.tools.leaderboard.own_log import OwnAnswer, OwnMeasured

QUESTION = "what is in the middle ?"
LINES = [
    {"picture": "0.png", "question": QUESTION, "answer": "a bell"},
    {"picture": "1.png", "question": QUESTION, "answers": ["a bell"] * 3 + ["a car"] * 7},
    {"picture": "0.png", "question": "is there a bell ?", "answer": "yes"},
    {"picture": "1.png", "question": "is there a car ?", "answer": "no"},
    {"picture": "1.png", "question": QUESTION, "choices": ["a car", "a bell"], "answer": "B"},
    {"picture": "0.png", "question": QUESTION, "answer": ["a car", "bell"]},
    {"picture": "0.png", "question": QUESTION},
    {"picture": "none.png", "question": QUESTION, "answer": "a bell"},
    {"picture": "1.png", "question": QUESTION, "choices": ["a car", "a bell"], "answer": "C"},
]


@pytest.fixture
def folder(tmp_path) -> Path:
    for number in range(2):
        scenes.make(number).image.save(tmp_path / f"{number}.png")
    text = "\n".join(map(json.dumps, LINES))
    (tmp_path / "data.jsonl").write_text(f"{text}\n{{half", encoding="utf-8")
    return tmp_path


def command(folder: Path, monkeypatch, *words: object) -> int | None:
    words = ["--data", folder / "data.jsonl", "--workers", 1, "--budgets", 4, 9, *words]
    monkeypatch.setattr(sys, "argv", ["leaderboard", *map(str, words)])
    return run.main()


SAID = {  # the words of the question: said with all tokens, and with fewer
    "middle ?": ("a bell", "a car"), "bell ?": ("yes", "no"), "car ?": ("no", "no, none"),
    "directly.": ("B", "A"),
}  # fmt: skip


def told(data, asked) -> OwnMeasured | own_data.BadLine:
    """Answer without a model; the command opens no picture here."""
    line, key, rows = asked
    if line.picture == "none.png":
        return own_data.BadLine(line.number, "there is no such picture")
    full, fewer = next(said for end, said in SAID.items() if line.prompt.endswith(end))
    answers = [OwnAnswer("full", 1, full, 0.9, True, 0.0, 1.0, 1.0)]
    answers += [
        OwnAnswer(row, budget, fewer, 0.5, False, 1.0, 0.5, 0.5)
        for row in rows
        for budget in data.budgets
        if row != "fastv"
    ]
    refused = {row: "too small" for row in rows if row == "fastv"}
    return OwnMeasured(key, data.model, rows, data.budgets, tuple(answers), refused)


def test_every_kind_of_line_is_scored_by_its_rule_and_bad_ones_are_counted(
    folder, monkeypatch, capsys
):
    monkeypatch.setattr(own_data, "evaluate", told)
    assert command(folder, monkeypatch, "--methods", "clsattn", "fastv", "--cases", 0) == 0
    said = capsys.readouterr().out
    assert "6 questions, 5 of them new, 4 lines skipped" in said, "two lines ask the same"
    for number, why in ((7, "no accepted"), (8, "no such"), (9, "none of the ch"), (10, "no JSON")):
        [line] = [each for each in said.splitlines() if each.startswith(f"skipped, line {number}:")]
        assert why in line
    assert "FastV answered nothing: too small" in said and "6 of 6 questions" in said
    out = folder / "data-leaderboard"
    rows = read_table(out / "leaderboard.csv").set_index(["method", "budget"])
    full, pruned = rows.loc["full", 1], rows.loc["clsattn", 9]
    assert (full["n"], full["right"]) == (6, 0.9833)
    names = ["right_exact", "right_vqa", "right_yesno", "right_choice"]
    assert pruned[names].tolist() == pytest.approx([0.5, 1, 0.5, 0])
    assert (full["f1"], full["yes"], pruned["f1"], pruned["yes"]) == (1, 0.5, 0, 0)
    assert pruned["p"] == 1 and pruned["random"] == "random"
    hits = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert sorted({hit["line"] for hit in hits}) == [1, 3, 5]
    assert {hit["method"] for hit in hits} == {"clsattn"} and hits[0]["said"] == "a car"


def test_nothing_is_asked_twice_and_another_rule_needs_no_answer(folder, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        own_data, "evaluate", lambda *each: asked.append(each[1]) or told(*each)
    )  # fmt: skip
    log = folder / "log.jsonl"
    words = ("--cases", 0, "--log", log, "--methods")
    command(folder, monkeypatch, *words, "clsattn")
    first, whole = [key for _, key, _ in asked], log.read_bytes()
    assert len(first) == 6 and len(set(first)) == 6
    log.write_bytes(whole[: whole.rfind(b"\n", 0, -1) + 30])  # as a kill leaves it
    asked.clear()
    command(folder, monkeypatch, *words, "clsattn")
    assert [line.number for line, *_ in asked] == [5, 8] and log.read_bytes() == whole
    asked.clear()
    (folder / "data.jsonl").write_text(json.dumps(LINES[1]) + "\n" + json.dumps(LINES[0]))
    capsys.readouterr()
    command(folder, monkeypatch, *words, "clsattn", "--score", "exact")
    assert not asked and "2 questions, 0 of them new, 0 lines" in capsys.readouterr().out
    assert read_table(folder / "data-leaderboard/leaderboard.csv")["right"].tolist()[0] == 1
    command(folder, monkeypatch, *words, "divprune")
    assert [rows for *_, rows in asked] == [("divprune",)] * 2, "random has answered"
    assert len(list(own_log.read(log, "pico"))) == 7 and not list(own_log.read(log, "other"))


def test_a_failure_becomes_a_case_that_opens(tmp_path, monkeypatch, capsys):
    scenes.make(69).image.save(tmp_path / "a.png")
    line = {"picture": "a.png", "question": "what is at the right ?"}
    (tmp_path / "data.jsonl").write_text(json.dumps(line | {"answer": "a bus"}))
    words = ("--methods", "clsattn", "--out", tmp_path / "out")
    for new in (1, 0):
        command(tmp_path, monkeypatch, *words)
        assert f"1 questions, {new} of them new" in capsys.readouterr().out
    [file] = (tmp_path / "out" / "cases").iterdir()
    case = case_file.load(file.read_bytes())
    assert (case.truth, case.full.text, case.runs[0].method) == ("a bus", "a bus", "clsattn")
    assert case.runs[0].text != "a bus"
    assert not any(difference.change for difference in replay(case))


def test_wrong_command_lines_are_told_in_a_sentence(folder, monkeypatch, capsys):
    no = folder / "no"
    for words in (
        ("--methods", "nonsense"), ("--model", "nonsense"), ("--data", no), ("--images", no),
    ):  # fmt: skip
        with pytest.raises(SystemExit):
            command(folder, monkeypatch, *words)
        assert "error:" in capsys.readouterr().err
