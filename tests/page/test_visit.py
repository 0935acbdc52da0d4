"""Nothing that a visitor does is lost: hurried questions, what is being typed, Back and reload."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import answered_all, leave, open_tab, ready, requests_of, state, until, visit
from playwright.sync_api import Browser, Page, expect

from explorer.pico.data import scenes

pytestmark = pytest.mark.browser
QUESTION = "#vt-question textarea"
FIRST, SECOND = "how many things are there ?", "describe the picture ."
OPEN = "!state.opening && state.case.question === question"


@pytest.fixture
def page(browser: Browser, canned_url: str, canned) -> Iterator[Page]:
    opened = visit(browser, canned_url)
    yield opened
    assert opened.errors == []
    leave(opened)


def ask(page: Page, question: str) -> None:
    page.locator(QUESTION).fill(question)
    page.locator("#vt-ask-button").click()


def test_the_last_question_wins_and_no_reply_writes_into_a_field(page, canned):
    canned.words.hold()
    ask(page, FIRST)
    canned.words.reached()
    ask(page, SECOND)
    page.locator(QUESTION).fill("half a tho")
    canned.words.open()
    until(page, OPEN, question=SECOND)
    expect(page.locator(QUESTION)).to_have_value("half a tho")
    expect(page.locator("#vt-full .vt-answer")).not_to_be_empty()

    chips = page.locator(".vt-chips button")
    chips.nth(1).dblclick()  # which once emptied the page
    until(page, OPEN, question=chips.nth(1).inner_text())
    expect(page.locator(QUESTION)).to_have_value(chips.nth(1).inner_text())
    page.locator(".vt-thumbs button").nth(2).click()
    page.locator(".vt-thumbs button").nth(1).click()
    expect(page.locator(".vt-thumbs button").nth(1)).to_have_attribute("aria-pressed", "true")
    label = page.locator(".vt-thumbs button").nth(1).get_attribute("title")
    until(page, OPEN, question=label)
    expect(page.locator(QUESTION)).to_have_value(label)


def test_back_undoes_cases_methods_and_tabs_and_a_reload_finds_them_again(page):
    seed = state(page)["case"]["seed"]
    page.locator(".vt-thumbs button").nth(1).click()
    until(page, "state.case.seed !== seed && location.search.includes('scene=')", seed=seed)
    other = state(page)["case"]["seed"]
    page.locator("#vt-method").select_option("fastv")
    page.wait_for_url("**method=fastv**")
    steps = page.evaluate("history.length")
    page.locator("#vt-budget").focus()
    page.keyboard.press("End")
    page.wait_for_url("**budget=196**")
    assert page.evaluate("history.length") == steps, "a budget is no step"
    open_tab(page, "Compare")
    page.wait_for_url("**tab=Compare**")

    page.reload()
    page.wait_for_selector(".vt-compare[data-case]", timeout=60_000)
    until(page, "state.method === 'fastv' && state.budget === 196")
    until(page, "state.case.seed === seed", seed=other)
    page.go_back()
    ready(page)
    until(page, "state.method === 'fastv'")
    page.go_back()
    until(page, "state.method === 'clsattn' && state.case.seed === seed", seed=other)
    page.go_back()
    until(page, "state.case.seed === seed", seed=seed)


def test_a_requested_budget_comes_back_with_a_method_that_can_show_it(page):
    page.locator("#vt-budget").focus()
    page.keyboard.press("Home")
    asked_for = state(page)["budget"]
    page.locator("#vt-method").select_option("fastv")
    until(page, "state.method === 'fastv'")
    assert state(page)["budget"] > asked_for == state(page)["requested"]
    expect(page.locator(".vt-floor")).to_contain_text(f"{asked_for} were asked for")
    page.locator("#vt-method").select_option("clsattn")
    until(page, "state.method === 'clsattn'")
    assert state(page)["budget"] == asked_for


def test_a_picture_of_ones_own_and_its_right_answer_survive_a_reload(page, tmp_path):
    path = tmp_path / "own.png"
    scenes.make(7).image.resize((300, 200)).save(path)
    page.locator("#vt-picture input[type=file]").set_input_files(path)
    until(page, "!state.opening && state.case.seed === null")
    expect(page.locator("#vt-remark")).to_contain_text("pico knows nothing of photos")
    said = page.locator("#vt-full .vt-answer").inner_text()
    page.locator("#vt-truth").fill(said)
    page.locator("#vt-truth").press("Enter")
    expect(page.locator("#vt-full .vt-mark")).to_contain_text("right", timeout=60_000)
    own = state(page)["case"]["id"]
    page.wait_for_url("**picture=**")
    page.reload()
    ready(page)
    until(page, "state.case.id === own", own=own)
    expect(page.locator("#vt-truth")).to_have_value(said)
    expect(page.locator("#vt-full .vt-mark")).to_contain_text("right")
    page.locator("#vt-truth").fill("a shoe")
    page.locator("#vt-truth").press("Enter")
    expect(page.locator("#vt-full .vt-mark")).to_contain_text("wrong", timeout=60_000)


def test_a_failure_opens_in_debug_without_the_case_before(page, canned):
    open_tab(page, "Debug")
    expect(page.locator("#vt-restoration-go")).to_be_visible(timeout=60_000)
    open_tab(page, "Failures")
    page.locator("#vt-scenes").select_option("20")
    page.get_by_role("button", name="Find", exact=True).click()
    hit = page.locator(".vt-hit-debug").first
    expect(hit).to_be_visible(timeout=60_000)
    canned.words.hold()
    hit.click()
    expect(page.locator(".vt-debug .vt-empty")).to_contain_text("Opening")
    expect(page.locator("#vt-restoration-go")).to_be_hidden()
    canned.words.open()
    expect(page.locator("#vt-restoration-go")).to_be_visible(timeout=60_000)


def test_a_look_at_the_list_of_models_asks_nothing(page):
    answered_all(page)
    requests, top = requests_of(page), page.locator(".vt-stage").bounding_box()["y"]
    page.locator("#vt-model select").focus()
    for key in ("Space", "Escape", "Tab"):
        page.keyboard.press(key)
    page.locator("h1").click()
    assert requests == [] and page.locator(".vt-stage").bounding_box()["y"] == top
