"""The failure finder in a real Chromium: hits open in Explore, a search can be stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import leave, open_tab, until, visit, visiting
from gradio.utils import get_upload_folder
from playwright.sync_api import Browser, Page, expect

from explorer.analyses import failures
from explorer.pico.data import scenes

pytestmark = pytest.mark.browser
BOARD = ".vt-failures"


@pytest.fixture
def page(browser, canned_url, canned):
    """A visit whose scenes all fail once, at once or when a test says so."""
    yield from visited(browser, canned_url)


@pytest.fixture
def with_pico(browser, url):
    """A visit whom pico answers."""
    yield from visited(browser, url)


def visited(browser: Browser, url: str) -> Iterator[Page]:
    with visiting(browser, f"{url}/?method=random&budget=8") as opened:
        until(opened, "state.method === 'random'")
        opened.get_by_role("tab", name="Failures").click()
        expect(opened.locator(BOARD)).to_contain_text("Random at 8 tokens")
        yield opened


def search(page: Page, scenes: int, first: int) -> None:
    page.evaluate("n => document.querySelector('#vt-scenes').add(new Option(n, n))", scenes)
    page.locator("#vt-scenes").select_option(str(scenes))
    page.locator("#vt-first").fill(str(first))
    page.get_by_role("button", name="Find", exact=True).click()


def test_hits_are_those_of_the_command_and_open_where_they_were_found(with_pico):
    page = with_pico
    search(page, 2, 40)
    expect(page.locator(BOARD)).to_have_attribute("data-is", "done", timeout=60_000)
    own = failures.ranked([f for f in failures.find("random", 8, range(40, 42)) if f])
    assert len(own) > 1, "they have an order"
    shown = page.locator(".vt-hit")
    assert shown.locator("b").all_inner_texts() == [failure.question for failure in own]
    expect(page.locator(".vt-failures-status")).to_contain_text(f"2 of 2 scenes, {len(own)} fail")
    shown.first.click()
    opened = "state.case.seed === seed && state.case.question === question"
    until(page, opened, seed=own[0].seed, question=own[0].question)
    expect(page.locator("#vt-pruned .vt-answer")).to_have_text(own[0].wrong, timeout=60_000)
    expect(page.locator("#vt-pruned .vt-mark")).to_contain_text("wrong")
    expect(page.locator("#vt-full .vt-mark")).to_contain_text("right")
    expect(page.locator("#vt-number")).to_have_text("8")


def test_own_pictures_are_looked_at_by_a_file_of_questions_and_open_from_a_hit(
    page, canned, tmp_path
):
    """Method and budget are chosen in this tab, bad lines named, no picture kept by the server."""
    names = ("first of mine.png", "second of mine.png")  # no other test uploads them
    for seed, name in enumerate(names):
        scenes.make(seed).image.save(tmp_path / name)
    lines = [{"picture": name, "question": "what is it ?", "answer": "a boat"} for name in names]
    lines += [{"picture": "c.png", "question": "what is it ?"}, {"picture": names[0]}]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, lines)))
    page.get_by_role("button", name="Own pictures", exact=True).click()
    files = [tmp_path / name for name in (*names, "d.jsonl")]
    page.locator("#vt-own-files").set_input_files(files)
    said = page.locator("#vt-own-line")
    expect(said).to_contain_text("2 pictures, 2 questions. Skipped 2: line 4: it has no question")
    expect(said).to_contain_text("line 3: there is no picture c.png")
    page.locator("#vt-failures-method").select_option("divprune")
    page.locator("#vt-failures-budget").fill("9")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator(BOARD)).to_have_attribute("data-is", "done", timeout=60_000)
    expect(page.locator("#vt-failures-line")).to_contain_text("DivPrune at 9 against all tokens")
    expect(page.locator("#vt-failures-line")).to_contain_text("2 of 2 questions, 2 failures")
    kept = Path(get_upload_folder()).rglob("*.png")
    assert not [file for file in kept if file.name in names]
    page.locator(".vt-hit").first.click()
    until(page, "state.case.truth === 'a boat' && state.method === 'divprune'")
    expect(page.locator("#vt-number")).to_have_text("9")


def test_a_search_is_stopped_its_late_replies_are_dropped_and_errors_are_said(page, canned):
    canned.tasks.hold(after=2 * 7)  # a failure and the end of a scene, in the middle of an event
    search(page, 200, 40)
    status = page.locator(".vt-failures-status")
    expect(status).to_contain_text("4 of 200 scenes", timeout=60_000)
    canned.tasks.reached()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(status).to_contain_text("stopped")
    canned.tasks.open()
    search(page, 2, 44)  # answered after what was under way
    expect(page.locator(BOARD)).to_have_attribute("data-is", "done", timeout=60_000)
    expect(status).to_contain_text("2 of 2 scenes")
    page.locator("#vt-first").fill("-3")
    expect(page.get_by_role("button", name="Find", exact=True)).to_be_disabled()
    page.locator("#vt-against").select_option("fastv")
    search(page, 6, 40)  # FastV can't keep as few as that
    expect(page.locator(".vt-failures-status[data-error]")).to_contain_text(".", timeout=60_000)
    expect(page.locator(BOARD)).to_have_attribute("data-is", "done")


def test_the_gallery_fits_a_phone(browser, canned_url, canned):
    size, query = {"width": 390, "height": 844}, "?method=random&budget=8"
    page = visit(browser, f"{canned_url}/{query}", viewport=size)
    open_tab(page, "Failures")
    page.wait_for_selector(BOARD)
    search(page, 3, 40)
    expect(page.locator(BOARD)).to_have_attribute("data-is", "done", timeout=60_000)
    assert page.locator(".vt-hit").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    leave(page)
