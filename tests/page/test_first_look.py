"""What a visitor with twenty seconds sees, without scrolling: on a laptop, a projector, a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from conftest import answered_all, state, visiting
from PIL import Image
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser
SCREENS = [(1366, 768), (1024, 768), (390, 844)]
ONE_ROW = 72  # pixels: two lines of a question, and the frame around them
BOXES = """names => Object.fromEntries(names.map((name) => {
  const { x, y, width, height } = document.querySelector(name).getBoundingClientRect();
  return [name, { left: x, top: y, right: x + width, bottom: y + height, width, height }];
}))"""


@pytest.fixture(scope="module")
def page(browser: Browser, canned_url: str) -> Iterator[Page]:
    """One visit that tests resize and drag."""
    with visiting(browser, canned_url) as opened:
        yield opened


def boxes(page: Page, *names: str) -> dict[str, dict[str, float]]:
    return page.evaluate(BOXES, list(names))


@pytest.mark.parametrize("screen", SCREENS, ids="{0[0]}x{0[1]}".format)
def test_slider_picture_and_both_answers_are_on_the_screen_together(page, screen):
    width, height = screen
    page.set_viewport_size({"width": width, "height": height})
    answers = ["#vt-both"] if width == 390 else ["#vt-full", "#vt-pruned"]
    seen = boxes(page, ".vt-tagline", ".vt-how", "#vt-view", "#vt-budget", *answers)
    for name, box in seen.items():
        assert box["width"] > 0 and box["height"] > 0, name
        assert box["left"] >= 0 and box["right"] <= width, (name, box)
        assert box["top"] >= 0 and box["bottom"] <= height, (name, box)
    assert seen["#vt-view"]["bottom"] <= seen["#vt-budget"]["top"], "the slider hides no patch"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    (strength,) = boxes(page, ".vt-opacity").values()
    assert strength["top"] > seen["#vt-budget"]["bottom"]
    expect(page.get_by_label("Strength of the colours")).to_be_visible()
    expect(page.locator(".vt-opacity")).to_contain_text("Colours")


@pytest.mark.parametrize("width", [1024, 390])
def test_inputs_fold_into_one_row_and_out_again(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    rest = page.locator("#vt-scene, #vt-suggestions, #vt-picture")
    for part in rest.all():
        expect(part).to_be_hidden()
    for part in ("#vt-examples button[aria-pressed=true]", "#vt-question textarea"):
        expect(page.locator(part)).to_be_in_viewport()
    assert boxes(page, "#vt-left")["#vt-left"]["height"] <= ONE_ROW
    page.locator("#vt-more").click()
    for part in rest.all():
        expect(part).to_be_visible()
    page.locator("#vt-more").click()
    expect(rest.first).to_be_hidden()


def test_the_line_under_the_title_says_what_the_page_shows_and_the_hint_leaves(page):
    page.set_viewport_size({"width": 1366, "height": 768})
    tokens = state(page)["case"]["tokens"]
    said = f"The model sees {tokens} pieces of the picture; drag to throw some away."
    expect(page.locator(".vt-tagline")).to_contain_text(said)
    expect(page.locator("#vt-hint")).to_be_in_viewport()
    expect(page.locator("#vt-more")).to_be_hidden()
    page.locator("#vt-budget").press("ArrowLeft")
    expect(page.locator("#vt-hint")).to_have_count(0)
    answered_all(page)
    full, pruned = (state(page)[name] for name in ("full", "pruned"))
    expect(page.locator("#vt-both")).to_have_text(f"{full['text']}→{pruned['answer']['text']}")


SMALL_TYPE = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const small = [];
  while (walker.nextNode()) {
    const { textContent, parentElement } = walker.currentNode;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const unseen = !textContent.trim() || !range.getBoundingClientRect().width;
    if (unseen || parentElement.closest(".vt-spoken, script, style, option")) continue;
    if (parseFloat(getComputedStyle(parentElement).fontSize) < 16) small.push(textContent);
  }
  return small;
}"""


def test_on_a_projector_all_is_large_and_the_answer_waits_for_the_vote(page):
    page.set_viewport_size({"width": 1024, "height": 768})
    answered_all(page)
    page.locator("h1").click()
    page.keyboard.press("p")
    parts = ["#vt-view", "#vt-budget", ".vt-sentence", "#vt-full", "#vt-pruned", ".vt-presented"]
    expect(page.locator(".vt-presented")).to_be_visible()
    expect(page.locator(".vt-presented")).to_have_text(state(page)["case"]["question"])
    for name, box in boxes(page, *parts).items():
        assert box["height"] > 0 and box["left"] >= 0 and box["right"] <= 1024, (name, box)
        assert box["top"] >= 0 and box["bottom"] <= 768, (name, box)
    assert boxes(page, "#vt-view")["#vt-view"]["height"] >= 450
    assert page.evaluate(SMALL_TYPE) == []
    for part in ("#vt-left", "#vt-header", "[role=tablist]", "#vt-dominance"):
        expect(page.locator(part).first).to_be_hidden()
    answer = page.locator("#vt-pruned .vt-answer")
    said = state(page)["pruned"]["answer"]["text"]
    page.keyboard.press("c")
    expect(answer).to_have_text("?")
    expect(page.locator(".vt-sentence")).not_to_contain_text("answer")
    page.get_by_role("button", name="Show the answer").click()
    expect(answer).to_have_text(said)
    page.get_by_role("button", name="Cover the answer").click()
    expect(answer).to_have_text("?")
    page.keyboard.press("Escape")
    expect(page.locator("#vt-header")).to_be_visible()
    expect(answer).to_have_text(said)


def test_tokens_leave_layer_by_layer_and_can_be_taken_home(page, tmp_path):
    page.set_viewport_size({"width": 1366, "height": 1080})
    page.emulate_media(reduced_motion="reduce")
    tokens, kept = state(page)["case"]["tokens"], state(page)["kept"]
    page.get_by_role("button", name="Watch tokens leave").click()
    words, film = page.locator(".vt-film-words"), page.locator("#vt-film")
    expect(words).to_have_text(f"The picture: {tokens} of {tokens} visual tokens")
    expect(film.get_by_role("button", name="Play")).to_be_visible()  # nothing moves by itself
    before = page.locator(".vt-film-canvas").evaluate("canvas => canvas.toDataURL()")
    film.get_by_label("Layer", exact=True).press("End")
    expect(words).to_have_text(f"Layer 12 of 12: {kept} of {tokens} visual tokens")
    assert page.locator(".vt-film-canvas").evaluate("canvas => canvas.toDataURL()") != before
    with page.expect_download() as started:
        film.get_by_role("button", name="GIF").click()
    started.value.save_as(tmp_path / "tokens.gif")
    assert Image.open(tmp_path / "tokens.gif").n_frames > 12
    expect(film.get_by_role("button", name="MP4")).to_be_enabled()
    film.get_by_role("button", name="Close").click()
    expect(page.locator(".vt-film-canvas")).to_have_count(0)
    page.emulate_media(reduced_motion="no-preference")
    words.evaluate(  # all that it says: a busy machine may look late
        """words => {
          window.said = [];
          const told = new MutationObserver(() => window.said.push(words.textContent));
          told.observe(words, { childList: true, characterData: true, subtree: true });
        }"""
    )
    page.get_by_role("button", name="Watch tokens leave").click()
    page.wait_for_function("said.some((text) => text.includes('Layer 1 of 12'))")
    play = film.get_by_role("button", name=re.compile("Play|Pause"))
    names = play.evaluate(  # at one go: a busy machine may see the end before it can pause
        """button => {
          const press = () => (button.click(), button.textContent);
          return button.textContent === "Pause" ? [press()] : [press(), press()];
        }"""
    )
    assert names in (["Play"], ["Pause", "Play"])
    film.get_by_role("button", name="Close").click()
