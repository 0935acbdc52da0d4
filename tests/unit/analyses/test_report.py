"""The report of a case: complete, self-contained, harmless whatever stands in the case."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from explorer import analyses
from explorer.analyses.diagnosis.records import Diagnosis, RunAnswer, StepResult
from explorer.analyses.diagnosis.verdict import Verdict
from explorer.analyses.inside.records import Removal
from explorer.analyses.inside.removal import removal_key
from explorer.analyses.sharing import case_file, report
from explorer.analyses.sharing.stored_inside import known_looks
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes

QUESTION = "what is in the middle ?"
EVIL = "\"'><img src=x onerror=alert(1)></style><script>alert(1)</script>"


@pytest.fixture(scope="module")
def case() -> case_file.CaseFile:
    image, cache = scenes.make(5).image, ResultCache(64_000_000)
    full = analyses.answer(CaseRequest.make("pico", image, QUESTION), "full", 1, cache=cache)
    run = analyses.answer(CaseRequest.make("pico", image, QUESTION), "visiondrop", 60, cache=cache)
    step = StepResult("pruned", "It says another thing.", False, runs=(RunAnswer("it", "a boat"),))
    about = (full.text, run.text, Verdict.EVIDENCE, "The evidence was dropped: 1 patch.")
    found = Diagnosis("case", "visiondrop", 60, None, *about, (step,), (3,))
    request = CaseRequest.make("pico", image, QUESTION)
    for name in (("full", 1), ("visiondrop", 60)):
        analyses.look_inside(request, *name, cache=cache)
    removal = (Removal(0, "a boat", False, 0.01), Removal(1, full.text, True, 0.9))
    cache.put(removal_key(request.id), removal, 100)
    looks = known_looks(request, [("full", full.budget), ("visiondrop", 60)], cache)
    saved = case_file.save(request, full, [run], seed=5, diagnosis=found, looks=looks)
    return case_file.load(saved)


@pytest.fixture(scope="module")
def grid():
    return open_case(CaseRequest.make("pico", scenes.make(5).image, QUESTION)).vision.grid


class Reader(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def test_it_says_what_was_asked_kept_and_answered(case, grid):
    words = " ".join(Reader(report.page(case, grid, scenes.make(5).image)).words)
    run = case.runs[0]
    for told in (QUESTION, case.full.text, run.text, "VisionDrop, 60 tokens", "scene 5"):
        assert told in words
    assert f"{run.p_full:.3g}" in words and case.packages["torch"] in words
    for told in ("The evidence was dropped", "Is it right after pruning?", "says another thing"):
        assert told in words, "why it failed, as somebody has asked"
    assert "What each word of the full answer loses" in words
    assert words.count("patches kept") == len(run.stages) > 1


def test_it_fetches_nothing_and_runs_nothing(case, grid):
    found = Reader(report.page(case, grid, scenes.make(5).image))
    assert not {"script", "link", "iframe", "object", "img"} & set(found.tags)
    sources = [value for name, value in found.attributes if name in ("href", "src")]
    assert sources and all(value.startswith("data:image/") for value in sources)
    assert "default-src 'none'" in dict(found.attributes)["content"] + report.POLICY
    assert not [name for name, _ in found.attributes if name.startswith("on")]


def test_texts_of_strangers_stay_texts(case, grid):
    other = json.loads(case.model_dump_json())
    other["question"] = other["truth"] = EVIL
    other["model"] = {"key": EVIL, "source": EVIL, "revision": EVIL}
    other["packages"] = {EVIL: EVIL}
    for run in (other["full"], other["runs"][0]):
        run["text"], run["tokens"] = EVIL, [{"text": EVIL, "probability": 1.0}]
    other["runs"][0]["method"] = EVIL
    other["runs"][0]["stages"][0]["kept"] = [0, 5, 19_000]
    plain = Reader(report.page(case, grid, scenes.make(5).image))
    found = Reader(report.page(case_file.CaseFile(**other), grid, scenes.make(5).image))
    assert set(found.tags) == set(plain.tags)
    assert {name for name, _ in found.attributes} == {name for name, _ in plain.attributes}
    assert " ".join(found.words).count(EVIL) >= 10


def test_what_is_kept_stays_clear_and_has_a_contour(case, grid):
    stage = case.runs[0].stages[-1]
    text = report.page(case, grid, scenes.make(5).image)
    figures = re.findall(r"<figure>.*?</figure>", text, re.S)
    dark, contour = re.findall(r'<path d="(.*?)"', figures[-1])
    assert dark.count("M") == grid.count - len(stage.kept)
    inside = np.zeros((16, 16), bool)
    for token in stage.kept:
        _, row, column = grid.place[token]
        inside[row + 1, column + 1] = True
    edges = np.diff(inside.astype(int), axis=0).astype(bool).sum()
    edges += np.diff(inside.astype(int), axis=1).astype(bool).sum()
    assert contour.count("M") == edges


def test_a_case_without_pruned_answers_has_a_report_too(case, grid):
    alone = case.model_copy(update={"runs": []})
    assert case.full.text in report.page(alone, grid, scenes.make(5).image)


def test_what_happened_inside_the_answers_is_told_layer_by_layer(case, grid):
    text = report.page(case, grid, case.opened().image)
    full, run = case.full.inside, case.runs[0].inside
    assert len(full.says) == len(run.shares) == len(case.full.layers)
    assert full.says[-1] == case.full.text and run.says[-1] == case.runs[0].text
    assert all(sum(layer) == pytest.approx(1, abs=1e-5) for layer in full.shares)
    assert f"stands from behind layer {full.stands_from + 1} on" in text
    assert "a boat (0.01)" in text and "Inside the answer" in text
