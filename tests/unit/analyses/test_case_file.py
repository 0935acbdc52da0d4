"""Cases that travel: saved, opened and recomputed; hostile files are refused in one sentence."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT
from PIL import Image

from explorer import analyses
from explorer.analyses.sharing import case_file, replay
from explorer.cases.cache import ResultCache
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.errors import BadCase
from explorer.media.image import open_picture
from explorer.pico.data import scenes
from explorer.tools.cases import diagnose as tools_diagnose
from explorer.tools.cases import replay as tools_replay
from explorer.vlm.catalog import Entry, read_entries

QUESTION = "what is in the middle ?"


@pytest.fixture(scope="module")
def text() -> str:
    image, cache = scenes.make(5).image, ResultCache(64_000_000)

    def answer(spec: str, budget: int) -> Answer:
        return analyses.answer(CaseRequest.make("pico", image, QUESTION), spec, budget, cache=cache)

    runs = [answer("clsattn", 20), answer("visiondrop", 48), answer("random?seed=3", 9)]
    full = answer("full", 196)
    return case_file.save(CaseRequest.make("pico", image, QUESTION), full, runs, "a cat", seed=5)


@pytest.fixture(scope="module")
def known() -> ResultCache:
    """What was recomputed for one changed file of this case need not be for the next."""
    return ResultCache(64_000_000)


def replayed(case: case_file.CaseFile, known: ResultCache) -> list[replay.Difference]:
    return list(replay.replay(case, cache=known))


def file_of(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


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
    case = case_file.load(text.encode())
    assert (case.question, case.truth, case.seed) == (QUESTION, "a cat", 5)
    assert case.model.key == "pico"
    assert [(run.method, run.budget) for run in case.runs] == [
        ("clsattn", 20), ("visiondrop", 48), ("random?seed=3", 9),
    ]  # fmt: skip
    assert len(case.runs[0].stages[-1].kept) == 20
    assert case.opened().image.tobytes() == scenes.make(5).image.tobytes()
    assert "torch" in case.packages


def test_replayed_on_the_same_machine_nothing_differs(text):
    found = list(replay.replay(case_file.load(text)))
    assert [difference.change for difference in found] == ["", "", "", ""]
    for difference in found[1:]:
        assert difference.again.p_full == pytest.approx(difference.stored.p_full, abs=1e-5)


def test_a_changed_answer_or_set_is_told(text, known):
    other = case_file.load(changed(text, "runs", 0, "text", to="a submarine"))
    assert [d.change for d in replayed(other, known)] == ["", "answer", "", ""]
    kept = json.loads(text)["runs"][0]["stages"][0]["kept"]
    fewer = case_file.load(changed(text, "runs", 0, "stages", 0, "kept", to=kept[:-1]))
    assert [d.change for d in replayed(fewer, known)] == ["", "tokens", "", ""]
    gone = case_file.load(changed(text, "runs", 1, "method", to="no-such-method"))
    assert [d.change for d in replayed(gone, known)] == ["", "", "not run", ""]


@pytest.mark.parametrize(
    ("path", "to", "words"),
    [
        (("question",), QUESTION, "the same answers from the same patches"),
        (("runs", 0, "text"), "a submarine", "1 of 4 answers changed"),
        (("runs", 0, "budget"), 21, "1 of 4 answers came from other patches"),
        (("runs", 0, "method"), "gone", "1 of 4 answers could not be computed"),
        (("runs", 0, "tokens", 0, "probability"), 0.0, "differ by up to 0."),
        (("runs", 0, "p_full"), None, "differ by up to inf"),
    ],
)
def test_what_differs_is_said_in_a_sentence(text, known, path, to, words):
    case = case_file.load(changed(text, *path, to=to))
    sentence = replay.verdict(replayed(case, known))
    assert words in sentence and sentence.endswith(".")


def test_metrics_and_versions_travel_along(text):
    case = case_file.load(text)
    run = case.runs[0]
    assert len(run.mdi) == len(run.aei) == len(run.layers) == 12
    assert 0 < run.flops < case.full.flops and 0 < run.kv_bytes < case.full.kv_bytes
    assert case.packages == case_file.packages()


def test_a_case_does_not_tell_where_somebody_keeps_models():
    given = Entry("mine", "mine", path="/home/somebody/secret/mine")
    assert case_file.model_of(given).source == "mine"
    assert case_file.model_of(read_entries()["pico"]).source == "assets/pico"


def test_a_stored_text_can_not_command_a_terminal(text, known):
    case = case_file.load(changed(text, "runs", 0, "text", to="\x1b[2Jgone\r\n\u202e"))
    lines = [tools_replay.report_row(difference) for difference in replayed(case, known)]
    assert all(line.isprintable() for line in lines) and "[2Jgone" in lines[1]


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
    "no question": (("question",), " \n"),
    "no picture": (("picture", "png"), "not base64!"),
    "an infinite number": (("runs", 0, "drop"), float("inf")),
    "a negative budget": (("runs", 0, "budget"), -1),
    "a huge budget": (("runs", 0, "budget"), 10**12),
    "a token that can't be": (("runs", 0, "stages", 0, "kept"), [10**9]),
    "too many runs": (("runs",), [{}] * 1000),
    "a probability above one": (("runs", 0, "p_full"), 2.0),
    "full among the pruned": (("runs", 0, "method"), "full"),
    "a number as text": (("runs", 0, "budget"), "20"),
    "a truth that is no text": (("truth",), {"$ne": 1}),
    "a seed beyond all numbers": (("seed",), 10**400),
    "a long text": (("runs", 0, "text"), "a" * 9_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_sentence(text, name):
    data = HOSTILE[name]
    if isinstance(data, tuple):
        data = changed(text, *data[0], to=data[1])
    with pytest.raises(BadCase) as refused:
        case_file.load(data)
    sentence = str(refused.value)
    assert sentence.endswith(".") and len(sentence) < 200 and "\n" not in sentence


def test_a_picture_that_was_exchanged_is_noticed(text):
    other = base64.b64encode(file_of(scenes.make(6).image)).decode()
    case = case_file.load(changed(text, "picture", "png", to=other))
    with pytest.raises(BadCase, match="not the one"):
        case.opened()
    broken = case_file.load(changed(text, "picture", "png", to="AAAA"))
    with pytest.raises(BadCase, match="can't be opened"):
        broken.opened()


def test_a_picture_bomb_is_refused_before_a_pixel_is_decoded(text):
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    assert len(bomb.getvalue()) < 1_000_000
    data = changed(text, "picture", "png", to=base64.b64encode(bomb.getvalue()).decode())
    with pytest.raises(BadCase, match="can't be opened"):
        case_file.load(data).opened()


def test_a_wrong_size_is_noticed(text):
    with pytest.raises(BadCase, match="not the one"):
        case_file.load(changed(text, "picture", "width", to=19_000)).opened()


def test_half_a_letter_from_a_browser_is_no_case():
    with pytest.raises(BadCase):
        case_file.load("\ud800")


def test_a_picture_too_large_to_travel_is_refused_when_it_is_saved():
    picture = open_picture(Image.effect_noise((2048, 2048), 200).convert("RGB"))
    full = Answer("full", 1, "", ())
    with pytest.MonkeyPatch.context() as patch, pytest.raises(BadCase, match="too large"):
        patch.setattr(case_file, "PICTURE_BYTES", 1_000_000)
        case_file.save(CaseRequest.make("pico", picture, QUESTION), full)


def test_a_file_that_is_too_large_is_refused():
    with pytest.raises(BadCase, match="20 MB"):
        case_file.load(b" " * (case_file.MAX_BYTES + 1))


def command(*words: object) -> tuple[int, str]:
    """Run the command as a person would."""
    line = [sys.executable, "-m", "explorer", "replay", *map(str, words)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_the_command_replays_a_folder_in_two_processes_and_tells_by_its_code(text, tmp_path):
    (tmp_path / "a.json").write_bytes(changed(text, "runs", 0, "text", to="a submarine"))
    (tmp_path / "b.json").write_text(text)
    code, said = command(tmp_path, "--at-once", 2)
    assert code == 1 and "a submarine ->" in said and "2 cases, 1 runs changed" in said
    assert said.index("a.json") < said.index("b.json"), "in the order of the files"


def test_the_code_tells_what_was_found(text, tmp_path, monkeypatch, capsys):
    (tmp_path / "good.json").write_text(text)
    monkeypatch.setattr(sys, "argv", ["replay", str(tmp_path)])
    assert tools_replay.main() == 0
    assert "1 cases, 0 runs changed" in capsys.readouterr().out
    (tmp_path / "bad.json").write_text("{")
    assert tools_replay.main() == 2
    assert "no JSON" in capsys.readouterr().out


def test_the_command_says_why_a_case_fails(text, tmp_path, monkeypatch, capsys):
    """With all tokens kept, which takes no search; the report has what was printed."""
    (tmp_path / "good.json").write_text(text)
    (tmp_path / "bad.json").write_text("{")
    words = ["diagnose", str(tmp_path), "--budget", "196", "--report", str(tmp_path / "pages")]
    monkeypatch.setattr(sys, "argv", words)
    assert tools_diagnose.main() == 2, "one of the two files is no case"
    told = capsys.readouterr().out
    assert "no JSON" in told and "Does it answer without looking?" in told
    page = (tmp_path / "pages" / "good.html").read_text()
    assert "Why did it fail?" in page and told.splitlines()[-2].strip()[:40] in page


def test_a_process_per_core_is_started_only_where_it_pays(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    (tmp_path / "large.json").write_bytes(changed(text, "model", "key", to="llava-1.5-7b"))
    assert tools_replay.worth([tmp_path / "a.json"]) == 1
    assert tools_replay.worth([tmp_path / "a.json"] * 1000) == os.cpu_count()
    assert tools_replay.worth([tmp_path / "large.json"] * 1000) == 1, "that would load it twice"
    assert tools_replay.worth([tmp_path / "nothing.json"] * 1000) == 1


def test_a_case_that_an_earlier_version_saved_opens_and_replays():
    """Written by commit 3d97896: a scene of pico, its full answer and two pruned runs.

    Pico's weights are others since: the full answer is still the same, a pruned one is not, and
    FastV keeps other tokens.
    """
    case = case_file.load((ROOT / "tests" / "goldens" / "case_saved_before.json").read_bytes())
    assert [run.method for run in case.runs] == ["clsattn", "fastv"]
    differences = list(replay.replay(case))
    assert [difference.change for difference in differences] == ["", "answer", "tokens"]
