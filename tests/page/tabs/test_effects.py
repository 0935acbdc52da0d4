"""The tab "Effects" in a real Chromium: probes, captions, stability, and what was counted."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import leave, open_tab, state, until, visit, visiting
from playwright.sync_api import Browser, Page, expect

from explorer import analyses
from explorer.analyses.effects import things
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.ui.tabs.effects import measured

pytestmark = pytest.mark.browser
SEED = 11
HERE = f"?scene={SEED}&question=where is the bus ?&method=clsattn&budget=64"


@pytest.fixture(scope="module")
def page(browser: Browser, canned_url: str) -> Iterator[Page]:
    """One visit that all tests on made-up answers share."""
    with visiting(browser, f"{canned_url}/{HERE}") as opened:
        until(opened, f"state.case.seed === {SEED}")
        open_tab(opened, "Effects")
        yield opened


def saved(page: Page, panel: str, tmp_path: Path) -> list[dict[str, str]]:
    """Save the table of a panel."""
    with page.expect_download() as download:
        page.locator(f"{panel} .vt-csv").click()
    download.value.save_as(tmp_path / "table.csv")
    return list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))


def test_a_matrix_tells_right_from_wrong_by_a_frame_and_a_sign(page, canned, tmp_path):
    panel = page.locator("#vt-probes")
    expect(panel).to_have_attribute("data-rows", "6")
    asked = things.asked_of_scene(scenes.make(SEED), "adversarial")
    rows = panel.locator("tbody th")
    assert [row.split()[0] for row in rows.all_inner_texts()] == [each.name for each in asked]
    cells = panel.locator(".vt-probe")
    assert cells.count() == 6 * 9
    for cell in cells.all():
        sign = {"right": "✓", "wrong": "✗"}[cell.get_attribute("data-is")]
        assert sign in cell.inner_text()
    smallest = panel.locator("tbody tr td:nth-child(6) .vt-probe")
    assert [("▼" in t, "▲" in t) for t in smallest.all_inner_texts()] == [
        (False, False), (True, False), (False, False), (True, False), (False, False), (False, True),
    ]  # fmt: skip
    smallest.nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#vt-probe-detail")).to_contain_text("hallucinated, broken")
    expect(panel.locator(".vt-boxes g")).to_have_count(3)
    expect(panel.locator(".vt-boxes g").first).to_contain_text("10 %")
    told = saved(page, "#vt-probes", tmp_path)
    assert len(told) == 6 * 9 and {row["change"] for row in told} == {"", "fixed", "broken"}


def test_other_strategies_and_things_of_ones_own_are_asked_about(page, canned):
    panel = page.locator("#vt-probes")
    panel.get_by_role("button", name="popular").click()
    asked = things.asked_of_scene(scenes.make(SEED), "popular")
    expect(panel.locator("tbody th").nth(1)).to_contain_text(asked[1].name)
    panel.locator("summary").click()
    page.locator("#vt-there").fill("bus, robot/android")
    page.locator("#vt-absent").fill("bus")
    page.locator("#vt-probes-go").click()
    expect(page.locator("#vt-probes-line")).to_contain_text("named twice")
    page.locator("#vt-absent").fill("<i>zeppelin")
    page.locator("#vt-absent").press("Enter")
    expect(panel).to_have_attribute("data-rows", "3")
    expect(panel.locator("tbody th").nth(2)).to_contain_text("<i>zeppelin")
    page.locator("#vt-there").fill("")
    page.locator("#vt-absent").fill("")


def test_invented_things_stand_out_and_a_click_explains_the_word(page, canned, tmp_path):
    page.locator("#vt-captions-go").click()
    panel = page.locator("#vt-captions[data-is=done][data-captions='9']")
    expect(panel).to_be_visible()
    articles = panel.locator("article")
    expect(articles.nth(0)).to_contain_text("CHAIRi 0.00 · CHAIRs 0 · recall 1.00")
    expect(articles.nth(1)).to_contain_text("CHAIRi 0.50 · CHAIRs 1")
    wrong = articles.nth(1).locator(".vt-named[data-there=false]")
    expect(wrong).to_have_text("volcano")
    wrong.click()
    expect(page.locator(".vt-word-map[data-is=done]")).to_contain_text("“volcano” has p")
    told = saved(page, "#vt-captions", tmp_path)
    assert [row["method"] for row in told] == ["full", *["clsattn"] * 4, *["random"] * 4]


def test_how_firmly_an_answer_stands_is_told_in_sentences(page, canned, tmp_path):
    page.locator("#vt-stability-go").click()
    panel = page.locator("#vt-stability[data-is=done]")
    line = panel.locator("#vt-stability-says")
    expect(line).to_contain_text("K* = 60")
    expect(line).to_contain_text("7 of 10 random choices of 64 tokens keep it")
    signs = [text.split()[0] for text in panel.locator("ol li").all_inner_texts()]
    assert signs == ["≠", "≠", *["="] * 8]
    expect(panel.locator("tbody tr").nth(1)).to_contain_text("✗ contradicts")
    assert len(saved(page, "#vt-stability", tmp_path)) == 12


def test_examples_that_are_fixed_are_as_near_as_those_that_are_broken(page, canned):
    panel = page.locator("#vt-measured")
    expect(panel.locator("#vt-measured-about")).to_contain_text("weights")
    expect(panel.locator(".vt-measure")).to_have_count(4)
    lists = [panel.locator(f"[data-kind={kind}] .vt-effect") for kind in ("fixed", "broken")]
    assert lists[0].count() == lists[1].count() > 0
    expect(panel.locator("tbody tr")).to_have_count(3)
    told = measured()[0]
    first = told["examples"]["broken"][0]
    lists[1].first.click()
    opened = "!state.opening && state.case.seed === seed && state.method === method"
    until(page, opened, seed=first["seed"], method=told["method"])
    assert first["thing"] in state(page)["case"]["question"]


def test_another_picture_takes_the_answers_about_this_one_away(page, canned):
    canned.tasks.hold()
    open_tab(page, "Explore")
    before = state(page)["case"]["seed"]
    page.locator("#vt-examples button").nth(2).click()
    until(page, "!state.opening && state.case.seed !== before", before=before)
    open_tab(page, "Effects")
    expect(page.locator("#vt-probes")).to_have_attribute("data-rows", "0")
    expect(page.locator("#vt-stability")).to_have_attribute("data-is", "waiting")
    canned.tasks.open()
    expect(page.locator("#vt-probes")).not_to_have_attribute("data-rows", "0")
    expect(page.locator("#vt-probes .vt-probe").first).to_be_visible()


def test_the_tab_fits_a_phone(browser, canned_url, canned):
    size = {"width": 390, "height": 844}
    page = visit(browser, f"{canned_url}/{HERE}", viewport=size)
    open_tab(page, "Effects")
    expect(page.locator("#vt-probes")).to_have_attribute("data-rows", "6")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    leave(page)


def test_what_is_shown_is_what_pico_says(browser, url):
    with visiting(browser, f"{url}/{HERE}") as page:
        until(page, f"state.case.seed === {SEED}")
        open_tab(page, "Effects")
        panel = page.locator("#vt-probes")
        expect(panel).to_have_attribute("data-rows", "6", timeout=60_000)
        scene = scenes.make(SEED)
        asked = things.asked_of_scene(scene, "adversarial")
        request = CaseRequest.make("pico", scene.image, state(page)["case"]["question"])
        rows = panel.locator("tbody tr").all()
        assert len(rows) == len(asked)
        for row, found in zip(rows[:2], analyses.probe(request, asked[:2], "clsattn"), strict=True):
            own = [found.full, *found.answers]
            shown = row.locator(".vt-probe")
            assert [each.get_attribute("data-is") for each in shown.all()] == [
                "wrong" if each.mistake else "right" for each in own
            ]
