"""Cases that travel, in a real Chromium: saved, opened, exchanged by strangers.

What a file says is asked again of pico itself; the page on which it is opened mostly answers from
records.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from conftest import leave, ready, state, until, visit, visiting
from PIL import Image
from playwright.sync_api import Page, expect

from explorer import analyses
from explorer.analyses.sharing import case_file
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.ui import examples

pytestmark = pytest.mark.browser
QUESTION = "what is in the middle ?"
NOTES = "#vt-sharing-notes"


@pytest.fixture(scope="module")
def saved() -> dict:
    """A case of a scene, as a script would save it."""
    image, cache = scenes.make(5).image, ResultCache(64_000_000)
    full = analyses.answer(CaseRequest.make("pico", image, QUESTION), "full", 1, cache=cache)
    run = analyses.answer(CaseRequest.make("pico", image, QUESTION), "visionzip", 40, cache=cache)
    return json.loads(
        case_file.save(CaseRequest.make("pico", image, QUESTION), full, [run], seed=5)
    )


@pytest.fixture(scope="module")
def visited_canned(browser, canned_url) -> Iterator[Page]:
    with visiting(browser, canned_url) as opened:
        yield opened


@pytest.fixture
def canned_page(visited_canned, canned) -> Page:
    """One visit for tests that open something else, whatever is open; no file is, to begin with."""
    if visited_canned.locator(".vt-stored").is_visible():
        stage = visited_canned.locator(".vt-stage").first
        before = stage.get_attribute("data-case")
        visited_canned.locator("#vt-scene button").click()
        expect(stage).not_to_have_attribute("data-case", before, timeout=60_000)
        expect(visited_canned.locator(".vt-stored")).to_be_hidden(timeout=60_000)
    return visited_canned


def open_file(page: Page, path: Path, content: object) -> None:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    page.locator("#vt-sharing-buttons input[type=file]").set_input_files(path)


def test_a_case_is_saved_opened_again_and_equal(page, tmp_path):
    page.locator("#vt-seed input").fill("5")
    page.locator("#vt-seed input").press("Enter")
    until(page, "state.case.seed === 5")
    shown = place(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save", exact=True).click()
    path = tmp_path / "case.json"
    download.value.save_as(path)
    case = case_file.load(path.read_bytes())
    assert [(run.method, run.budget) for run in case.runs] == [tuple(shown[2:])]
    assert case.opened().image.tobytes() == scenes.make(5).image.tobytes()

    page.reload()
    ready(page)
    open_file(page, tmp_path / "again.json", path.read_text())
    expect(page.locator(NOTES)).to_contain_text("the same answers from the same", timeout=60_000)
    expect(page.locator(".vt-stored section")).to_have_count(2)
    expect(page.locator(".vt-stored [data-differs]")).to_have_count(0)
    assert place(page) == shown


def test_what_differs_is_said_and_shown_beside_it_on_the_same_screen(canned_page, saved, tmp_path):
    page = canned_page
    other = json.loads(json.dumps(saved))
    other["runs"][0]["text"] = "a submarine"
    other["packages"]["torch"] = "0.4"
    other["seed"], other["truth"] = None, ""
    open_file(page, tmp_path / "case.json", other)
    expect(page.locator(NOTES)).to_contain_text("1 of 2 answers changed", timeout=60_000)
    expect(page.locator(NOTES)).to_contain_text("torch 0.4 (here ")
    row = page.locator(".vt-stored [data-change=answer] tr[data-differs] td").all_inner_texts()
    assert row[0] == "a submarine" and row[1] == saved["runs"][0]["text"]
    expect(page.locator("#vt-number")).to_have_text("40")
    for name in ("#vt-case", ".vt-stage", ".vt-readout"):
        box = page.locator(name).first.bounding_box()
        assert box["y"] + box["height"] <= 1081, name
    page.locator("#vt-scene button").click()
    expect(page.locator(".vt-stored")).to_be_hidden(timeout=60_000)


def test_on_a_phone_the_case_stands_behind_the_answers(browser, canned_url, saved, tmp_path):
    page = visit(browser, canned_url, viewport={"width": 390, "height": 844})
    open_file(page, tmp_path / "case.json", saved)
    expect(page.locator(".vt-stored")).to_be_visible(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    answers = page.locator(".vt-readout").first.bounding_box()
    assert page.locator("#vt-case").bounding_box()["y"] >= answers["y"] + answers["height"]
    leave(page)


EVIL = "<img src=x onerror='window.hacked=1'> ${window.hacked=1} {{constructor}}<script>hacked=1"


def test_scripts_in_every_text_of_a_file_stay_texts(canned_page, saved, tmp_path):
    page = canned_page
    other = json.loads(json.dumps(saved))
    other["question"] = other["truth"] = EVIL
    other["seed"] = None
    other["packages"] = {EVIL: EVIL, "torch": EVIL}
    other["model"] |= {"source": EVIL, "revision": EVIL}
    for run in (other["full"], other["runs"][0]):
        run["text"] = EVIL
        run["tokens"] = [{"text": EVIL, "probability": 1.0}]
    other["runs"].append(other["runs"][0] | {"method": EVIL})
    open_file(page, tmp_path / "case.json", other)
    expect(page.locator(".vt-stored section")).to_have_count(3, timeout=60_000)
    expect(page.locator(NOTES)).to_contain_text("2 of 3 answers changed")
    expect(page.locator(NOTES)).to_contain_text("other weights")
    assert EVIL in page.locator(".vt-stored").inner_text()
    assert page.locator("#vt-case img, #vt-case script").count() == 0
    assert page.evaluate("window.hacked") is None


def bomb() -> str:
    """A small file of 400 million pixels, which takes a second to write."""
    data = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


HOSTILE = {
    "no JSON": "\x80\x04pickle",
    "deep": "[" * 50_000,
    "too large": " " * (case_file.MAX_BYTES + 1),
    "a wrong type": (("runs", 0, "budget"), "40"),
    "an absurd size": (("picture", "width"), 10**30),
    "a field too many": (("__class__",), "os.system"),
    "an unknown model": (("model", "key"), "../../etc/passwd"),
}


def test_a_hostile_file_gets_a_sentence_and_changes_nothing(canned_page, saved, tmp_path):
    page = canned_page
    before = page.locator(".vt-stage").first.get_attribute("data-case")
    said = page.locator("#vt-case .vt-notes[data-kind=error], #vt-case .vt-told")
    bombed = {"a bomb": (("picture", "png"), bomb())}
    for name, content in (HOSTILE | bombed).items():
        if isinstance(content, tuple):
            (*way, last), to = content
            content = place = json.loads(json.dumps(saved))
            for step in way:
                place = place[step]
            place[last] = to
        for line in (".vt-notes", ".vt-told"):
            page.evaluate(f"document.querySelector('#vt-case {line}').replaceChildren()")
        open_file(page, tmp_path / "case.json", content)
        expect(said.filter(has_text=re.compile(r"\w.*\.$"))).to_have_count(1, timeout=60_000)
        assert page.locator(".vt-stage").first.get_attribute("data-case") == before, name
    open_file(page, tmp_path / "case.json", saved)
    expect(page.locator(".vt-stored")).to_be_visible(timeout=60_000)


def place(page: Page) -> list:
    shown = state(page)
    return [shown["case"]["seed"], shown["case"]["question"], shown["method"], shown["budget"]]


def test_a_link_restores_scene_question_method_and_budget(browser, canned_url):
    asked = [5, "how many crowns are there ?", "divprune", 33]
    names = ("scene", "question", "method", "budget")
    query = urlencode(dict(zip(names, asked, strict=True)))
    page = visit(
        browser, f"{canned_url}/?{query}", permissions=["clipboard-read", "clipboard-write"]
    )
    until(page, "state.case.seed === 5")
    assert place(page) == asked
    expect(page.locator("#vt-seed input")).to_have_value("5")
    page.get_by_role("button", name="Link", exact=True).click()
    expect(page.locator(".vt-told")).to_contain_text("copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert parse_qs(urlsplit(copied).query)["question"] == [asked[1]]
    page.goto(copied)
    ready(page)
    until(page, "state.case.seed === 5")
    assert place(page) == asked and page.errors == []
    leave(page)


def test_a_link_to_an_example_shows_it_finished(browser, canned_url):
    page = visit(browser, f"{canned_url}/?example=find&method=fastv&budget=70")
    until(page, "state.case.question === 'find the cheese .'")
    assert state(page)["method"] == "fastv"
    expect(page.locator("#vt-examples [data-key=find]")).to_have_attribute("aria-pressed", "true")
    leave(page)


def test_a_wrong_link_gets_a_sentence_and_the_first_page(browser, canned_url):
    page = visit(browser, f"{canned_url}/?example=opening&budget=500")
    note = page.locator("#vt-picture-notes .vt-notes[data-kind=error]")
    expect(note).to_contain_text("196", timeout=60_000)
    shown = examples.load(examples.names()[0])
    assert place(page)[:2] == [shown["seed"], shown["case"]["question"]] and page.errors == []
    leave(page)


def test_a_picture_of_ones_own_has_no_link(canned_page, tmp_path):
    page = canned_page
    path = tmp_path / "own.png"
    scenes.make(5).image.save(path)
    page.locator("#vt-picture input[type=file]").set_input_files(path)
    until(page, "state.case.seed === null")
    page.get_by_role("button", name="Link", exact=True).click()
    expect(page.locator(".vt-told")).to_contain_text("save the case instead")


def taken(page: Page, name: str, path: Path, within: str = "#vt-case") -> bytes:
    """Press a button that saves a file, and read it."""
    with page.expect_download() as download:
        page.locator(within).get_by_role("button", name=name, exact=True).click()
    download.value.save_as(path)
    return path.read_bytes()


def test_picture_report_and_tables_are_taken_home(page, browser, tmp_path):
    shot = Image.open(io.BytesIO(taken(page, "PNG", tmp_path / "stage.png")))
    assert shot.width == 1168 and shot.height > 1168
    inside = shot.crop((24, 24, 1144, 1144)).convert("RGB").getcolors(2_000_000)
    assert len(inside) > 1000, "a picture, not a plain square"

    rows = list(csv.DictReader(taken(page, "CSV", tmp_path / "p.csv").decode().splitlines()))
    assert len(rows) == 196
    kept = [row for row in rows if row["stage_0"] == "kept"]
    assert len(kept) == int(page.locator(".vt-stage").first.get_attribute("data-kept"))
    assert max(int(row["rank"]) for row in kept) == len(kept), "[CLS] attention keeps the first"

    costs = taken(page, "CSV", tmp_path / "c.csv", "#vt-costs").decode()
    flops = state(page)["full"]["flops"]
    assert f"prefill_flops,{flops}," in costs
    layers = taken(page, "CSV", tmp_path / "d.csv", "#vt-dominance").decode().splitlines()
    assert layers[0] == "layer,mdi_full,aei_full,mdi_kept,aei_kept" and len(layers) == 16

    report = tmp_path / "report.html"
    text = taken(page, "Report", report).decode()
    assert state(page)["case"]["question"] in text and "<script" not in text
    other, asked = browser.new_page(), []
    other.on("request", lambda request: asked.append(request.url))
    other.goto(report.as_uri())
    expect(other.locator("figure")).to_have_count(1)
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    other.close()
