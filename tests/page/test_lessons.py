"""Every lesson, played in a browser in front of pico: what its texts take for granted is so."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from conftest import answered_all, box_at_rest, ready, state, until, visiting
from playwright.sync_api import Browser, Page, expect

from explorer.ui.explore import lessons

pytestmark = pytest.mark.browser
LESSONS = lessons.load()
PANEL = ".vt-lesson"


@pytest.fixture(scope="module")
def page(browser: Browser, url: str) -> Iterator[Page]:
    with visiting(browser, f"{url}/?lesson=tokens&step=1") as opened:
        yield opened


def at(page: Page, name: str, number: int) -> None:
    """Wait until a step is shown with its answers."""
    here = "state.lesson?.name === name && state.lesson.number === number && state.lesson.isReady"
    until(page, here, name=name, number=number)


def paint(page: Page) -> None:
    """Drag across the middle of the picture."""
    box = box_at_rest(page, "#vt-view")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - box["width"] / 8, y)
    page.mouse.down()
    page.mouse.move(x + box["width"] / 8, y, steps=6)
    page.mouse.up()
    page.locator("#vt-guess-done").click()
    page.wait_for_function("explorerState().lesson.guesses[explorerState().lesson.number]?.answer")


def guess(page: Page, step: lessons.Step) -> None:
    """Guess, whatever it may be; before, nothing tells the answer, and after it is judged."""
    assert state(page)["covered"]
    for hidden in ("#vt-pruned .vt-answer", "#vt-both b >> nth=1"):
        expect(page.locator(hidden)).to_have_text("?")
    expect(page.locator("#vt-lesson-then")).to_be_hidden()
    if step.guess.kind == "patches":
        paint(page)
    else:
        page.locator(".vt-guess-options button").first.click()
    until(page, "typeof state.lesson.guesses[state.lesson.number].right === 'boolean'")
    assert not state(page)["covered"]


def holds(page: Page, step: lessons.Step) -> None:
    """What the page shows is what the step claims."""
    until(page, "state.lesson.isReady")
    seen = state(page)
    assert seen["lesson"]["broken"] == ""
    if step.claims.full is not None:
        assert seen["full"]["right"] is (step.claims.full == "right")
    if step.claims.pruned is not None:
        answer = seen["pruned"]["answer"]
        assert (answer["text"] == seen["full"]["text"]) is (step.claims.pruned == "same")
    expect(page.locator(PANEL)).not_to_contain_text(re.compile("[…{]"))


@pytest.mark.parametrize("name", LESSONS)
def test_every_lesson_can_be_played_to_its_end_and_claims_what_is_so(page, name):
    lesson = LESSONS[name]
    page.locator("#vt-lesson-name").select_option(name)
    for number, step in enumerate(lesson.steps, start=1):
        at(page, name, number)
        expect(page.locator("#vt-lesson-title")).to_have_text(step.title)
        if step.guess:
            guess(page, step)
        holds(page, step)
        page.keyboard.press("ArrowRight")
    asked = sum(1 for step in lesson.steps if step.guess)
    expect(page.locator("#vt-lesson-sum")).to_contain_text(f"You guessed {asked} of {asked} times")
    kept = page.evaluate("name => JSON.parse(sessionStorage[`explorer.lesson.${name}`])", name)
    assert len(kept) == asked


def test_steps_are_of_the_history_keys_walk_and_what_was_looked_at_returns(browser, canned_url):
    with visiting(browser, canned_url) as page:
        while "budget=" not in page.url:  # what is there at the very beginning is no step from it
            page.locator("#vt-budget").press("ArrowLeft")
        answered_all(page)
        before = state(page)
        page.wait_for_url(
            f"**budget={before['requested']}*"
        )  # which takes up a move a little later
        fetched: list[str] = []
        page.on("request", lambda request: fetched.append(request.url))
        page.locator(".vt-how").click()
        at(page, "tokens", 1)
        assert any("classroom" in url for url in fetched), "nothing of a lesson is fetched before"
        page.wait_for_url("**?lesson=tokens&step=1")
        page.locator("h1").click()
        page.keyboard.press("ArrowRight")
        at(page, "tokens", 2)
        page.wait_for_url("**?lesson=tokens&step=2")
        page.go_back()
        at(page, "tokens", 1)
        page.go_forward()
        at(page, "tokens", 2)
        page.locator("#vt-budget").press("ArrowLeft")  # an arrow on the slider is the slider's
        assert state(page)["lesson"]["number"] == 2
        page.locator("#vt-lesson-next").click()
        at(page, "tokens", 3)
        page.wait_for_url("**?lesson=tokens&step=3")
        page.locator("#vt-view").focus()
        for key in ("ArrowRight", "Space", "ArrowRight", "ArrowDown", "Space"):
            page.keyboard.press(key)
        until(page, "state.lesson.painted.length === 2")
        page.go_back()
        page.go_back()
        page.go_back()
        until(page, "state.lesson === null && !state.covered")
        assert [state(page)[name] for name in ("method", "requested")] == [
            before[name] for name in ("method", "requested")
        ]
        page.locator(".vt-how").click()
        at(page, "tokens", 1)
        page.wait_for_url("**?lesson=tokens&step=1")
        page.keyboard.press("Escape")
        until(
            page,
            "state.lesson === null && state.requested === requested",
            requested=before["requested"],
        )
        expect(page.locator(".vt-lesson")).to_be_hidden()
        page.wait_for_url("**budget=**")
        page.go_back()
        at(page, "tokens", 1)
        page.reload()
        ready(page)
        at(page, "tokens", 1)


SCREENS = {  # size: what carries the two answers; the last is a laptop at 200 %
    (1024, 768): ["#vt-full", "#vt-pruned"],
    (390, 844): ["#vt-both"],
    (683, 384): ["#vt-both"],
}


def test_a_lesson_leaves_slider_picture_and_answers_in_view_on_every_screen(browser, canned_url):
    size = {"width": 1024, "height": 768}
    with visiting(browser, f"{canned_url}/?lesson=tokens&step=5", viewport=size) as page:
        at(page, "tokens", 5)
        for (width, height), answers in SCREENS.items():
            page.set_viewport_size({"width": width, "height": height})
            for part in ("#vt-view", "#vt-budget", *answers, "#vt-lesson-next"):
                expect(page.locator(part)).to_be_in_viewport(ratio=1)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            top, low = page.evaluate(
                """() => [
                  document.querySelector("#vt-budget").getBoundingClientRect().top,
                  document.querySelector("#vt-view").getBoundingClientRect().bottom,
                ]"""
            )
            assert low <= top, "the slider hides no patch"
