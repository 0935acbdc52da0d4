"""The tab "Debug" in a real Chromium: brush, lasso, keys, the oracle, what broke it.

First one visit that pico answers, then tests of what becomes of answers, whatever they say.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from conftest import answered_all, box_at_rest, leave, requests_of, state, until, visit, visiting
from playwright.sync_api import Page, expect

from explorer import analyses
from explorer.analyses.picked import renumbers
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.metrics.fidelity import agrees
from explorer.pico.data import scenes
from explorer.pico.data.questions import truths

pytestmark = pytest.mark.browser
PATIENCE = 60_000  # milliseconds
PICTURE = "#vt-pick"
NEXT_FRAME = """() => new Promise((resolve) =>
  requestAnimationFrame(() => requestAnimationFrame(resolve)))"""
# Waits for the next frame, and gives the milliseconds that the tab took to draw itself.
DRAWN_MS = """() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() =>
  resolve(performance.getEntriesByName("explorer.debug").at(-1).duration))))"""


def broken(seed: int, question: str) -> tuple[str, int]:
    """A method and a budget at which a scene has another answer, whichever weights pico has."""
    request, cache = CaseRequest.make("pico", scenes.make(seed).image, question), ResultCache(10**8)
    budgets = (48, 24, 12, 6, 3)
    pruned = (analyses.answer(request, "clsattn", budget, cache=cache) for budget in budgets)
    return "clsattn", next(answer.budget for answer in pruned if not answer.agrees)


@pytest.fixture(scope="module")
def visited(browser, url) -> Iterator[Page]:
    """A scene that is broken at its budget, answered by pico."""
    seed, question = 123, "what is in the middle ?"
    method, budget = broken(seed, question)
    link = {"scene": seed, "question": question, "method": method, "budget": budget}
    with visiting(browser, f"{url}/?{urlencode(link)}") as page:
        until(page, "state.case.seed === seed && state.method === method", seed=seed, method=method)
        answered_all(page)
        page.get_by_role("tab", name="Debug").click()
        answered(page)
        yield page


@pytest.fixture(scope="module")
def visited_canned(browser, canned_url) -> Iterator[Page]:
    """A visit for several tests: the first example."""
    with visiting(browser, canned_url) as page:
        answered_all(page)
        page.get_by_role("tab", name="Debug").click()
        answered(page)
        yield page


@pytest.fixture
def with_pico(visited) -> Page:
    """The tab as a visitor finds it, whom pico answers."""
    return from_the_start(visited)


@pytest.fixture
def page(visited_canned, canned) -> Page:
    """The tab as a visitor finds it, whose long tasks are done at once or when a test says so."""
    return from_the_start(visited_canned)


def from_the_start(page: Page) -> Page:
    page.click("#vt-start")
    answered(page)
    return page


def answered(page: Page) -> None:
    """Wait until the answer from the very patches that are picked is known, and drawn.

    What is drawn is a frame behind: right after a click it still tells of the patches before.
    """
    until(page, "state.debug?.known", timeout=PATIENCE)
    page.evaluate(NEXT_FRAME)
    page.wait_for_selector('.vt-debug[data-picked="known"]', timeout=PATIENCE)


def full_answer(page: Page) -> dict:
    """What the model says of the whole picture, whichever weights it has."""
    return state(page)["full"]


def kept(page: Page) -> list[int]:
    return state(page)["debug"]["tokens"]


def middle(page: Page, row: int, column: int) -> tuple[float, float]:
    """The middle of a patch on the screen; the picture is 14 x 14 patches."""
    box = page.locator(PICTURE).bounding_box()
    return box["x"] + (column + 0.5) * box["width"] / 14, box["y"] + (row + 0.5) * box[
        "height"
    ] / 14


def choose(page: Page, name: str) -> None:
    page.locator(".vt-debug-pick").get_by_role("button", name=name, exact=True).click()


def stroke(page: Page, *cells: tuple[int, int], release: bool = True) -> None:
    box_at_rest(page, PICTURE)
    page.mouse.move(*middle(page, *cells[0]))
    page.mouse.down()
    for cell in cells[1:]:
        page.mouse.move(*middle(page, *cell), steps=3)
    if release:
        page.mouse.up()


def test_it_starts_from_the_methods_set_and_its_answer(with_pico):
    page = with_pico
    shown = state(page)
    theirs, ours = shown["pruned"]["answer"], shown["debug"]["known"]["answer"]
    assert len(kept(page)) == theirs["budget"]
    assert ours["text"] == theirs["text"]
    assert ours["p_full"] == pytest.approx(theirs["p_full"], rel=1e-4)
    expect(page.locator("#vt-picked .vt-answer")).to_have_text(theirs["text"])
    expect(page.locator("#vt-pick-count")).to_have_text(str(theirs["budget"]))


def test_why_it_failed_is_asked_only_of_an_answer_that_has_failed(with_pico, page):
    asked = {"Why did it fail?": with_pico, "Is anything wrong?": page}
    for words, opened in asked.items():
        answer, failed = state(opened)["pruned"]["answer"], opened is with_pico
        assert (not answer["same"] or answer["right"] is False) == failed
        expect(opened.locator("#vt-diagnosis-go")).to_have_text(words)
        line = opened.locator("#vt-diagnosis-line")
        expect(line).to_contain_text("eight questions" if failed else "has not failed")


def test_why_it_failed_is_told_step_by_step_and_ends_in_a_verdict(page, canned):
    """One button; what came before a cancel is dropped; the evidence is folded at the end."""
    panel, line = page.locator("#vt-diagnosis"), page.locator("#vt-diagnosis-line")
    expect(page.locator("#vt-head-question")).to_contain_text(state(page)["case"]["question"])
    expect(page.locator("#vt-head-full")).to_contain_text(full_answer(page)["text"])
    expect(page.locator("#vt-head-pruned")).to_contain_text(state(page)["pruned"]["answer"]["text"])
    words = page.locator(".vt-loss-word b")
    expect(words).to_have_text(full_answer(page)["text"].split())  # before anything is asked
    steps = page.locator(".vt-questions > li")
    canned.tasks.hold(after=3)  # one step, and the beginning of the second
    page.click("#vt-diagnosis-go")
    expect(steps.nth(0)).to_have_attribute("data-is", "yes", timeout=PATIENCE)
    expect(steps.nth(1)).to_have_attribute("aria-current", "step")
    expect(steps.nth(2)).to_have_attribute("data-is", "waiting")
    expect(page.locator("#vt-evidence")).to_have_attribute("open", "")
    page.click("#vt-diagnosis-cancel")
    expect(line).to_have_text("Cancelled.")
    canned.tasks.open()
    page.click("#vt-diagnosis-go")
    expect(panel).to_have_attribute("data-verdict", "the evidence was dropped", timeout=PATIENCE)
    expect(page.locator("#vt-verdict")).to_contain_text("with 2 patches back it says")
    expect(steps.first).not_to_be_visible()
    page.get_by_text("Evidence, step by step").click()
    expect(steps).to_have_count(8)
    assert steps.evaluate_all("(all) => all.map((step) => step.dataset.is)") == [
        "yes", "no", "yes", "skipped", "yes", "yes", "yes", "yes",
    ]  # fmt: skip
    worst = page.locator(".vt-loss-word[data-worst]")
    expect(worst).to_have_text("duck−4.4")
    expect(page.locator(".vt-loss-word").nth(1)).to_have_text("or+.2")


def test_a_brush_asks_when_the_hand_rests_and_not_before(page):
    before = kept(page)
    sent = requests_of(page)
    choose(page, "Drop")
    stroke(page, (7, 0), (7, 13), release=False)
    assert state(page)["debug"]["settled"], "nothing is about to be asked while the hand moves"
    assert sent == []
    row = set(range(7 * 14, 8 * 14))
    assert set(kept(page)) == set(before) - row and row & set(before)
    page.mouse.up()
    answered(page)
    assert sent and len(kept(page)) == len(set(before) - row)
    choose(page, "Keep")
    stroke(page, (7, 0), (7, 13))
    assert set(kept(page)) == set(before) | row, "no gaps, however quick the hand"
    choose(page, "Flip")


def test_undo_and_redo_go_stroke_by_stroke(page):
    first = kept(page)
    assert page.locator("#vt-undo").is_disabled() and page.locator("#vt-redo").is_disabled()
    stroke(page, (0, 0), (0, 5))
    second = kept(page)
    stroke(page, (13, 3))
    third = kept(page)
    assert first != second != third
    for expected in (second, first):
        page.click("#vt-undo")
        assert kept(page) == expected
    answered(page)
    page.click("#vt-redo")
    assert kept(page) == second
    stroke(page, (1, 1))
    assert page.locator("#vt-redo").is_disabled(), "another way was taken"
    for _ in range(2):
        page.click("#vt-undo")
    assert kept(page) == first and page.locator("#vt-undo").is_disabled()


def test_a_lasso_takes_what_it_goes_round(page):
    choose(page, "Lasso")
    choose(page, "Drop")
    stroke(page, (-0.4, -0.4), (-0.4, 2.4), (2.4, 2.4), (2.4, -0.4))
    inside = {row * 14 + column for row in range(3) for column in range(3)}
    assert not inside & set(kept(page))
    choose(page, "Keep")
    stroke(page, (-0.4, -0.4), (-0.4, 2.4), (2.4, 2.4), (2.4, -0.4))
    assert inside <= set(kept(page))
    choose(page, "Brush")
    choose(page, "Flip")


def test_every_hand_movement_has_a_key(page):
    first = set(kept(page))
    at = min(set(range(196)) - first)
    row, column = divmod(at, 14)
    page.locator(PICTURE).focus()
    for key in ["ArrowDown"] * row + ["ArrowRight"] * column:
        page.keyboard.press(key)
    page.keyboard.press("k")
    assert set(kept(page)) == first | {at}
    page.keyboard.press("d")
    assert set(kept(page)) == first - {at}
    page.keyboard.press("Space")
    assert set(kept(page)) == first | {at}
    page.keyboard.press("i")
    assert set(kept(page)) == set(range(196)) - first - {at}
    for _ in range(4):
        page.keyboard.press("Control+z")
    assert set(kept(page)) == first
    page.keyboard.press("Control+y")
    assert set(kept(page)) == first | {at}


def test_all_patches_give_the_full_answer_and_none_a_sentence(page):
    page.click("#vt-keep-all")
    answered(page)
    full = page.locator("#vt-debug-full .vt-answer").text_content()
    expect(page.locator("#vt-picked .vt-answer")).to_have_text(full)
    expect(page.locator("#vt-picked .vt-mark")).to_contain_text("same")
    shares = page.locator("#vt-things li").evaluate_all("(all) => all.map((x) => +x.dataset.share)")
    assert shares and all(share > 0.999 for share in shares)
    page.click("#vt-invert")
    expect(page.locator("#vt-picked .vt-answer")).to_have_text("Keep at least one patch.")
    expect(page.locator("#vt-pick-count")).to_have_text("0")


def test_a_stroke_is_drawn_within_8_ms(page):
    times = []
    page.mouse.move(*middle(page, 0, 0))
    page.mouse.down()
    for column in range(14):
        page.mouse.move(*middle(page, column, column))
        times.append(page.evaluate(DRAWN_MS))
    page.mouse.up()
    assert statistics.median(times) < 8


def test_what_broke_it_is_outlined_and_can_be_put_back(with_pico):
    page = with_pico
    page.click("#vt-restoration-go")
    page.wait_for_selector('#vt-restoration[data-state="done"]', timeout=PATIENCE)
    back = page.locator("#vt-restoration").get_attribute("data-returned").split()
    line, said = page.locator("#vt-restoration-line"), full_answer(page)["text"]
    restores = rf"restores “{re.escape(said)}” \(p = .* before, .* after\)"
    expect(line).to_contain_text(re.compile(restores))
    assert 1 <= len(back) <= 16 and not {int(t) for t in back} & set(kept(page))
    page.click("#vt-put-back")
    answered(page)
    assert {int(t) for t in back} <= set(kept(page))
    expect(page.locator("#vt-picked .vt-answer")).to_have_text(said)
    expect(page.locator("#vt-picked .vt-mark")).to_contain_text("same")


def test_a_wrong_answer_of_the_whole_picture_is_held_against_the_truth(browser, canned_url, canned):
    """The right answer is looked for, though the model does not give it from all patches."""
    question, said = "what is in the middle ?", canned.recording.analysis.full.text

    def wrong(seed: int) -> bool:
        truth = truths(scenes.make(seed)).get(question)
        return truth is not None and not agrees(said, truth)

    seed = next(filter(wrong, range(920, 990)))  # whichever it is, with what was recorded
    page = visit(browser, f"{canned_url}/?{urlencode({'scene': seed, 'question': question})}")
    until(page, "state.case.seed === seed && typeof state.full?.right === 'boolean'", seed=seed)
    assert full_answer(page)["right"] is False
    page.get_by_role("tab", name="Debug").click()
    answered(page)
    page.get_by_label("look for the right answer instead").check()
    page.click("#vt-restoration-go")
    page.wait_for_selector('#vt-restoration[data-state="done"]', timeout=PATIENCE)
    truth = re.escape(state(page)["case"]["truth"])
    expect(page.locator("#vt-restoration-line")).to_contain_text(re.compile(rf"restores “{truth}”"))
    assert page.errors == []
    leave(page)


def test_the_oracle_explains_the_answer_a_word_and_another_answer(page, canned):
    panel, line = page.locator("#vt-attribution"), page.locator("#vt-attribution-line")
    canned.tasks.hold(after=1)
    page.click("#vt-attribution-go")
    expect(line).to_contain_text("Evaluated", timeout=PATIENCE)
    page.click("#vt-attribution-cancel")
    expect(line).to_have_text("Cancelled.")
    expect(panel).not_to_have_attribute("data-state", "busy")
    canned.tasks.open()
    page.click("#vt-attribution-go")
    expect(panel).to_have_attribute("data-state", "done", timeout=PATIENCE)
    said = full_answer(page)["text"]
    expect(line).to_have_text(f"Explained: “{said}”.")
    expect(page.locator("#vt-attribution-worth")).to_contain_text("without any patch")
    expect(page.locator("#vt-attribution-worth")).to_contain_text(
        "counted anew" if renumbers(state(page)["method"]) else "keep their positions"
    )
    assert page.locator("#vt-attribution-weak").is_hidden()
    drawn = "document.querySelectorAll('#vt-attribution canvas')[1].toDataURL()"
    whole = page.evaluate(drawn)
    last = said.split()[-1]
    page.locator("#vt-attribution").get_by_role("button", name=last, exact=True).click()
    expect(line).to_have_text(f"Explained: “{last}”.", timeout=PATIENCE)
    word = page.evaluate(drawn)
    other = "a tree" if said == "a robot" else "a robot"
    page.fill("#vt-why-not", f"why not {other}?")
    page.press("#vt-why-not", "Enter")
    expect(line).to_have_text(f"Explained: “{other}”.", timeout=PATIENCE)
    assert len({whole, word, page.evaluate(drawn)}) == 3
    page.fill("#vt-why-not", "zzzz")
    page.press("#vt-why-not", "Enter")
    expect(line).to_contain_text("does not know the word", timeout=PATIENCE)


def test_scores_are_tried_beside_oracle_and_random(page):
    page.click("#vt-trial-go")
    page.wait_for_selector('#vt-trial[data-state="done"]', timeout=PATIENCE)
    rows = page.locator(".vt-trials tbody tr").evaluate_all(
        "(all) => all.map((row) => [row.dataset.name, ...[...row.cells].map((c) => c.textContent)])"
    )
    by_name = {name: title for name, title, *_ in rows}
    assert len(rows) == 3 and {"oracle", "random"} < set(by_name)
    assert by_name["oracle"] == "oracle (leave one out), positions counted anew"
    areas = [float(row[2]) for row in rows]
    assert areas == sorted(areas, reverse=True) and all(0 <= area <= 1 for area in areas)
    assert page.locator(".vt-trial path").count() == 6


def test_it_fits_on_a_phone(browser, canned_url):
    size = {"width": 390, "height": 844}
    phone = visit(browser, canned_url, viewport=size, has_touch=True)
    phone.get_by_role("tab", name="Debug").click()
    answered(phone)
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    count = len(kept(phone))
    box = phone.locator(PICTURE).bounding_box()
    phone.touchscreen.tap(box["x"] + 3, box["y"] + 3)
    until(phone, "state.debug.tokens.length !== count", count=count)
    assert phone.errors == []
    leave(phone)
