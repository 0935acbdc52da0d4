"""Every tab, light and dark, before axe-core's rules; and what axe can't measure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import open_tab, until, visiting
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
AXE = Path(__file__).resolve().parents[1] / "helpers" / "axe" / "axe.min.js"  # 4.14.1, see LICENSE
READY = {
    "Explore": ".vt-stage[data-kept]",
    "Compare": ".vt-compare[data-is=done] .vt-matrix td[data-kind]",
    "Sweep": ".vt-sweep[data-is=done] .vt-sweep-plot .main-svg",
    "Debug": ".vt-debug[data-picked=known]",
    "Inside": ".vt-inside[data-is=done] .vt-inside-curve circle",
    "Effects": ".vt-effects[data-is=done] .vt-probe",
    "Failures": ".vt-failures[data-is=waiting]",
    "Video": ".vt-video-view[data-is=done]",
    "Methods": ".vt-card-method .vt-diagram",
}
# The name of Gradio's own upload button is not what stands on it; no style sheet can change that.
FOREIGN = ("label-content-name-mismatch", "upload-container")
THEME = """async (isDark) => {
  document.body.classList.toggle("dark", isDark);
  const changes = document.getAnimations().filter((each) => each instanceof CSSTransition);
  await Promise.allSettled(changes.map(({ finished }) => finished));
}"""
# What a theme may break is what colours may; all else is looked at once.
VIOLATIONS = """async (isDark) => {
  const rules = isDark ? { runOnly: ["color-contrast", "link-in-text-block"] } : {};
  const { violations } = await axe.run(document, { resultTypes: ["violations"], ...rules });
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => [id, html.slice(0, 160)]));
}"""
# The contrast of every figure of the matrix with its cell, as it is painted.
CONTRASTS = """() => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (...colours) => {
    for (const colour of colours) {
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
    }
    const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data]
      .map((x) => x / 255)
      .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const panel = getComputedStyle(document.querySelector("#vt-agreement")).backgroundColor;
  return [...document.querySelectorAll(".vt-matrix td[data-kind]")].map((cell) => {
    const style = getComputedStyle(cell);
    const [a, b] = [light(style.color), light(panel, style.backgroundColor)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}"""


def themes(page: Page) -> Iterator[bool]:
    """Make the page dark, and then light again."""
    for is_dark in (True, False):
        page.evaluate(THEME, is_dark)
        yield is_dark


def violations(page: Page) -> list:
    return [
        each
        for is_dark in themes(page)
        for each in page.evaluate(VIOLATIONS, is_dark)
        if not (each[0] == FOREIGN[0] and FOREIGN[1] in each[1])
    ]


@pytest.fixture(scope="module")
def visited(browser, canned_url) -> Iterator[Page]:
    with visiting(browser, f"{canned_url}/?__theme=light") as page:
        page.add_script_tag(path=AXE)
        yield page


@pytest.fixture
def page(visited, canned) -> Page:
    """One visit for all tabs, few of which are open yet while much is looked at."""
    return visited


def test_neither_a_lesson_breaks_a_rule_nor_the_view_for_a_projector_nor_the_animation(page):
    open_tab(page, "Explore")
    page.get_by_role("button", name="Watch tokens leave").click()
    page.locator(".vt-how").click()
    until(page, "state.lesson?.isReady")
    for number in (2, 3):
        page.locator("#vt-lesson-next").click()
        until(page, "state.lesson.number === number && state.lesson.isReady", number=number)
    assert violations(page) == [], "a lesson that waits for patches"
    page.locator("#vt-lesson-leave").click()
    page.get_by_role("button", name="Present", exact=True).click()
    expect(page.locator(".vt-presented")).to_be_visible()
    assert violations(page) == [], "on a projector"
    page.get_by_role("button", name="Leave (P)").click()


@pytest.mark.parametrize("name", READY)
def test_no_tab_breaks_a_rule(page, name):
    open_tab(page, name)
    page.wait_for_selector(READY[name], timeout=60_000)
    if name == "Compare":
        page.locator("#vt-choice summary").first.click()
    assert violations(page) == []


def test_every_figure_of_the_matrix_can_be_read(page):
    open_tab(page, "Compare")
    page.wait_for_selector(READY["Compare"], timeout=60_000)
    page.locator("#vt-agreement").get_by_role("button", name="Methods", exact=True).click()
    for _ in themes(page):
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 300 and min(contrasts) >= 4.5


def test_a_key_skips_to_the_slider(page):
    open_tab(page, "Explore")
    expect(page.locator("h1")).to_have_count(1)
    page.locator(".vt-skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#vt-budget")).to_be_focused()
