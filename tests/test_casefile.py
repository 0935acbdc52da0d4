"""Cases that travel: saved, opened and recomputed; hostile files are refused in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import ROOT

from explorer import casefile, jobs, replay
from explorer.errors import BadCase
from explorer.memory import Memory
from explorer.pico import scenes

QUESTION = "what is in the middle ?"


@pytest.fixture(scope="module")
def text() -> str:
    image, memory = scenes.make(5).image, Memory(64_000_000)
    analysis = jobs.analyse("pico", image, QUESTION, memory)
    answers = [
        jobs.answer("pico", image, QUESTION, spec, budget, memory)
        for spec, budget in (("clsattn", 20), ("visiondrop", 48), ("random?seed=3", 9))
    ]
    return casefile.save(analysis, answers, truth="a cat", seed=5)


def changed(text: str, *path, to) -> bytes:
    """The case with one field set to something else."""
    case = json.loads(text)
    *way, last = path
    place = case
    for step in way:
        place = place[step]
    place[last] = to
    return json.dumps(case).encode()


def test_a_saved_case_opens_as_it_was(text):
    case = casefile.load(text.encode())
    assert (case.question, case.truth, case.seed) == (QUESTION, "a cat", 5)
    assert case.model.key == "pico"
    assert [(run.method, run.budget) for run in case.runs] == [
        ("clsattn", 20), ("visiondrop", 48), ("random?seed=3", 9),
    ]  # fmt: skip
    assert len(case.runs[0].stages[-1].kept) == 20
    assert case.opened().image.tobytes() == scenes.make(5).image.tobytes()
    assert "torch" in case.packages


def test_replayed_on_the_same_machine_nothing_differs(text):
    found = list(replay.replay(casefile.load(text)))
    assert [difference.change for difference in found] == ["", "", "", ""]
    for difference in found[1:]:
        assert difference.again.p_full == pytest.approx(difference.stored.p_full, abs=1e-5)


def test_a_changed_answer_or_set_is_told(text):
    other = casefile.load(changed(text, "runs", 0, "text", to="a submarine"))
    assert [d.change for d in replay.replay(other)] == ["", "answer", "", ""]
    kept = json.loads(text)["runs"][0]["stages"][0]["kept"]
    fewer = casefile.load(changed(text, "runs", 0, "stages", 0, "kept", to=kept[:-1]))
    assert [d.change for d in replay.replay(fewer)] == ["", "tokens", "", ""]
    gone = casefile.load(changed(text, "runs", 1, "method", to="no-such-method"))
    assert [d.change for d in replay.replay(gone)] == ["", "", "not run", ""]


HOSTILE = {
    "no json": b"\x80\x04pickle",
    "not utf-8": b'{"format": "\xff"}',
    "a list": b"[]",
    "empty": b"",
    "deep": b"[" * 100_000,
    "other format": (("format",), "something else"),
    "a field too many": (("__class__",), "os.system"),
    "another kind": (("question",), 7),
    "a long question": (("question",), "a" * 501),
    "no question": (("question",), ""),
    "no picture": (("picture", "png"), "not base64!"),
    "an infinite number": (("runs", 0, "drop"), float("inf")),
    "a negative budget": (("runs", 0, "budget"), -1),
    "a huge budget": (("runs", 0, "budget"), 10**12),
    "a token that can't be": (("runs", 0, "stages", 0, "kept"), [10**9]),
    "too many runs": (("runs",), [{}] * 1000),
    "a probability above one": (("runs", 0, "p_full"), 2.0),
    "full among the pruned": (("runs", 0, "method"), "full"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_sentence(text, name):
    data = HOSTILE[name]
    if isinstance(data, tuple):
        data = changed(text, *data[0], to=data[1])
    with pytest.raises(BadCase) as refused:
        casefile.load(data)
    sentence = str(refused.value)
    assert sentence.endswith(".") and len(sentence) < 200 and "\n" not in sentence


def test_a_picture_that_was_exchanged_is_noticed(text):
    other = json.loads(casefile.save(
        jobs.analyse("pico", scenes.make(6).image, QUESTION), []
    ))["picture"]["png"]  # fmt: skip
    case = casefile.load(changed(text, "picture", "png", to=other))
    with pytest.raises(BadCase, match="not the one"):
        case.opened()
    broken = casefile.load(changed(text, "picture", "png", to="AAAA"))
    with pytest.raises(BadCase, match="can't be opened"):
        broken.opened()


def test_a_file_that_is_too_large_is_refused():
    with pytest.raises(BadCase, match="20 MB"):
        casefile.load(b" " * (casefile.MAX_BYTES + 1))


def test_the_command_replays_a_folder_and_tells_by_its_code(text, tmp_path):
    (tmp_path / "good.json").write_text(text)

    def run() -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "explorer.replay", str(tmp_path)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 cases, 0 runs changed" in done.stdout
    (tmp_path / "other.json").write_bytes(changed(text, "runs", 0, "text", to="a submarine"))
    done = run()
    assert done.returncode == 1 and "a submarine ->" in done.stdout
    (tmp_path / "bad.json").write_text("{")
    done = run()
    assert done.returncode == 2 and "no JSON" in done.stdout
