"""The page in a real Chromium, as visitors use it: mouse, keyboard, phone, dark, two at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import (
    answered_all,
    box_at_rest,
    leave,
    open_tab,
    requests_of,
    state,
    until,
    visit,
)
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from explorer.cases.records import Token
from explorer.errors import MethodUnavailable
from explorer.methods import catalog
from explorer.pico.data import scenes
from explorer.ui import examples

pytestmark = pytest.mark.browser
SIZE = {"width": 1366, "height": 1080}
PATIENCE = 60_000  # milliseconds
SLIDER = ".vt-stage input[type=range][aria-valuetext]"


@pytest.fixture(scope="module")
def visited(browser: Browser, url: str) -> Page:
    opened = visit(browser, url)
    yield opened
    leave(opened)


@pytest.fixture
def shared(visited: Page) -> Page:
    """One visit for all tests that go on from whatever case is open."""
    yield visited
    assert visited.errors == []


@pytest.fixture(scope="module")
def visited_canned(browser: Browser, canned_url: str) -> Iterator[Page]:
    opened = visit(browser, canned_url)
    yield opened
    leave(opened)


@pytest.fixture
def canned_page(visited_canned: Page, canned) -> Iterator[Page]:
    """One visit for tests of what becomes of answers, whatever they say."""
    answered_all(visited_canned)
    yield visited_canned
    assert visited_canned.errors == []


def stage(page: Page, name: str) -> str:
    return page.locator(".vt-stage").first.get_attribute(f"data-{name}")


def drag(page: Page, *shares: float, release: bool = True) -> None:
    """Drag the budget slider through these shares of its length."""
    box = box_at_rest(page, SLIDER)
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * float(stage(page, "budget")) / 196, y)
    page.mouse.down()
    for share in shares:
        page.mouse.move(box["x"] + box["width"] * share, y, steps=4)
    if release:
        page.mouse.up()


def answered(page: Page) -> dict:
    """Wait until the pruned answer for the present budget is there."""
    until(page, "['computed', 'memory'].includes(state.pruned.is)")
    return state(page)["pruned"]["answer"]


def upload(page: Page, path: Path) -> None:
    page.locator("#vt-picture input[type=file]").set_input_files(path)


def ask(page: Page, text: str) -> None:
    question = page.locator("#vt-question textarea, #vt-question input").first
    question.fill(text)
    question.press("Enter")


def another_case(page: Page, before: str) -> None:
    page.wait_for_function(
        "before => document.querySelector('.vt-stage').dataset.case !== before",
        arg=before,
        timeout=60_000,
    )


def test_the_page_opens_with_a_finished_example(shared):
    page = shared
    assert int(stage(page, "kept")) > 0
    assert answered(page)["text"]
    assert state(page)["pruned"]["is"] == "memory"
    (line,) = examples.load(examples.names()[0])["case"]["notes"]
    expect(page.locator("#vt-question-notes")).to_have_text(line)
    expect(page.locator("#vt-question textarea, #vt-question input").first).not_to_be_empty()


def test_dragging_redraws_without_a_single_request(canned_page):
    page = canned_page
    answered_all(page)
    requests = requests_of(page)
    before = stage(page, "kept")
    drag(page, 0.9, 0.5, 0.3, 0.7, release=False)
    page.wait_for_function(
        "before => document.querySelector('.vt-stage').dataset.kept !== before", arg=before
    )
    assert requests == []
    page.mouse.up()


def test_the_last_budget_is_answered(canned_page):
    before = stage(canned_page, "case")
    canned_page.locator("#vt-scene button").click()
    another_case(canned_page, before)
    drag(canned_page, 0.9, 0.2, 0.55)
    assert answered(canned_page)["budget"] == int(stage(canned_page, "budget"))


def test_the_slider_works_by_keyboard(canned_page):
    slider = canned_page.locator(SLIDER)
    slider.focus()
    before = int(stage(canned_page, "budget"))
    canned_page.keyboard.press("ArrowRight")
    canned_page.wait_for_function(
        f"Number(document.querySelector('.vt-stage').dataset.budget) > {before}"
    )
    assert str(stage(canned_page, "budget")) in slider.get_attribute("aria-valuetext")
    canned_page.keyboard.press("End")
    canned_page.wait_for_function("document.querySelector('.vt-stage').dataset.budget === '196'")
    assert answered(canned_page)["same"]


def test_the_full_answer_grows_while_the_methods_are_at_work(canned_page, canned, monkeypatch):
    page, before, words = canned_page, stage(canned_page, "case"), "an owl in a red ring".split()
    analysis = canned.recording.analysis
    tokens = tuple(Token(f" {word}", 0.9) for word in words)
    full = replace(analysis.full, text=" ".join(words), tokens=tokens)
    recording = replace(canned.recording, analysis=replace(analysis, full=full))
    monkeypatch.setattr(canned, "recording", recording)
    page.evaluate("document.querySelector('.vt-stage canvas').dataset.mine = 'yes'")
    canned.words.hold()
    ask(page, "describe the picture .")
    for number in range(1, len(words) + 1):
        canned.words.reached()
        canned.words.hold(after=1)
        expect(page.locator("#vt-full .vt-answer")).to_have_text(" ".join(words[:number]))
        assert stage(page, "pending") not in (None, before) and stage(page, "case") == before
    pending = stage(page, "pending")
    canned.words.open()
    another_case(page, before)
    assert (stage(page, "pending"), stage(page, "case")) == (None, pending)
    expect(page.locator("#vt-full .vt-answer")).to_have_text(" ".join(words))
    assert page.evaluate("document.querySelector('.vt-stage canvas').dataset.mine") == "yes"


def test_costs_follow_the_hand_and_are_those_that_the_server_counts(shared):
    page = shared
    answered_all(page)
    requests = requests_of(page)
    drag(page, 0.83, 0.41, release=False)
    budget = int(stage(page, "budget"))
    assert state(page)["pruned"] == {"answer": None, "is": "unasked"}
    cells = page.locator("#vt-costs tr").filter(has_text="FLOPs").locator("td").all_inner_texts()
    page.mouse.up()
    answer = answered(page)
    assert sum("/queue/join" in request for request in requests) == 1
    assert answer["budget"] == budget
    assert cells[1] == f"{answer['flops'] / 1e9:.2f}" and float(cells[1]) < float(cells[0])


def test_the_first_token_and_compression_by_cls_are_shown_when_asked_for(canned_page):
    panel = canned_page.locator("#vt-dominance")
    about = panel.locator(".vt-about")
    expect(about.locator("a")).to_have_attribute("href", "https://arxiv.org/abs/2508.10552")
    expect(about).to_contain_text("re-implementation")
    strip = panel.locator(".vt-compression")
    strip.locator("summary").click()
    full = state(canned_page)["full"]["dominance"]
    texts = [full["text"], full["with_first"]["text"]]
    assert texts[1] == texts[0] + 1
    for label, cells in (("MDI full", panel), ("MDI 25 %", strip), ("MDI 5 %", strip)):
        row = cells.get_by_role("row", name=label).locator("td")
        expect(row.nth(3)).to_have_text(str(texts[0]), timeout=PATIENCE)
    panel.get_by_label("count the first token").check()
    for label, cells in (("MDI full", panel), ("MDI 25 %", strip), ("MDI 5 %", strip)):
        row = cells.get_by_role("row", name=label).locator("td")
        expect(row.nth(3)).to_have_text(str(texts[1]))
    panel.get_by_label("count the first token").uncheck()
    strip.locator("summary").click()


def test_curves_are_enlarged_when_asked_for_and_go_with_their_case(canned_page):
    page = canned_page
    requests = requests_of(page)
    expect(page.locator("#vt-larger .vt-enlarged")).to_be_hidden()
    page.evaluate("document.querySelector('.vt-stage canvas').dataset.mine = 'yes'")
    page.locator(".vt-larger").click()
    plot = page.locator("#vt-larger .js-plotly-plot")
    expect(plot.locator(".legend")).to_contain_text("[CLS] attention", timeout=60_000)
    expect(plot).to_be_in_viewport()
    axes = plot.evaluate("plot => [plot.layout.yaxis.type, plot.layout.yaxis2.type]")
    lines = plot.evaluate("plot => plot.layout.shapes.map(({ y0, y1 }) => [y0, y1])")
    curves = plot.evaluate("plot => plot.data.map(({ y }) => y.length)")
    assert axes == ["log", "log"] and lines == [[1, 1], [1, 1]] and curves == [12] * 4
    answered_all(page)
    asked = len(requests)
    plot.evaluate("plot => (plot.dataset.mine = 'yes')")
    page.locator(SLIDER).scroll_into_view_if_needed()
    drag(page, 0.9, 0.4, release=False)
    assert len(requests) == asked, "dragging asks for no plot"
    page.mouse.up()
    assert plot.get_attribute("data-mine") == "yes"
    assert page.evaluate("document.querySelector('.vt-stage canvas').dataset.mine") == "yes"
    page.locator(".vt-thumbs button").nth(1).click()
    expect(plot).to_have_count(0, timeout=60_000)


def test_every_method_can_be_chosen_and_those_of_each_group_answer(canned_page):
    page = canned_page
    chooser = page.locator(".vt-stage select").first
    keys = chooser.locator("option").evaluate_all("list => list.map((option) => option.value)")
    assert sorted(keys) == sorted(method.spec for method in catalog.choices())
    for key in {catalog.group_of(method): method.spec for method in catalog.choices()}.values():
        chooser.select_option(key)
        page.wait_for_function(
            "key => document.querySelector('.vt-stage').dataset.method === key", arg=key
        )
        assert answered(page)["method"] == key


def test_the_method_that_is_looked_at_works_before_the_maps_of_all_are_there(canned_page, canned):
    page, chooser = canned_page, canned_page.locator("#vt-method")
    staged = [each.spec for each in canned.recording.analysis.methods if each.points]
    chooser.select_option(staged[-1])
    canned.maps.hold()
    before = stage(page, "case")
    page.locator("#vt-scene button").click()
    another_case(page, before)
    assert answered(page)["method"] == stage(page, "method") == staged[-1]
    assert int(stage(page, "kept")) > 0
    chooser.select_option(staged[-2])
    until(page, "state.method === wanted", wanted=staged[-2])
    assert answered(page)["method"] == stage(page, "method") == staged[-2]
    canned.maps.reached()
    listed = state(page)["case"]["methods"]
    assert state(page)["case"]["rest"] == len(staged) - 2
    open_tab(page, "Compare")
    expect(page.get_by_text("Every method scores the new picture now …")).to_be_visible()
    expect(page.locator("#vt-compare-budget")).to_be_hidden()
    assert state(page)["case"]["rest"] and not page.locator(".vt-mini").count(), "it waits for all"
    canned.maps.open()
    expect(page.locator(".vt-mini")).to_have_count(len(state(page)["case"]["methods"]))
    open_tab(page, "Explore")
    chooser.select_option("clsattn")
    answered_all(page)
    assert state(page)["case"]["methods"] == listed, "each where it is listed"


def test_a_chosen_method_that_fails_says_why_and_what_was_shown_stays(canned_page, canned):
    page, chooser = canned_page, canned_page.locator("#vt-method")
    before, idea = stage(page, "method"), page.locator(".vt-idea")
    said = idea.text_content()
    canned.refused["draw"] = MethodUnavailable("The model keeps no attention.")
    chooser.select_option("relevance")
    expect(idea).to_contain_text("can't be shown: The model keeps no attention.")
    expect(chooser).to_have_value(before)
    assert answered(page)["method"] == stage(page, "method") == before
    other = "divprune" if before == "clsattn" else "clsattn"
    chooser.select_option(other)
    expect(idea).not_to_contain_text("can't be shown")
    chooser.select_option(before)
    expect(idea).to_have_text(said)


def test_a_chosen_method_is_drawn_by_itself_where_the_maps_of_all_fail(browser, canned_url, canned):
    rest_of_maps = f"**/{examples.opening_rest()[0]}"
    canned.maps.hold()
    canned.refused["analyse"] = MethodUnavailable("The model keeps no attention.")
    visitors = browser.contexts[0]
    visitors.route(rest_of_maps, lambda route: route.abort())
    page = visit(browser, canned_url)
    page.locator("#vt-method").select_option("divprune")
    expect(page.locator(".vt-idea")).to_contain_text("is being worked out")
    canned.maps.reached()
    canned.maps.open()
    until(page, "state.method === 'divprune'")
    assert answered(page)["method"] == "divprune"
    visitors.unroute(rest_of_maps)
    assert page.errors == []
    leave(page)


def test_a_scene_is_repeated_by_its_seed(canned_page):
    seed = canned_page.locator("#vt-seed input")
    pictures = []
    for number in ("456", "123", "456"):
        before = stage(canned_page, "case")
        seed.fill(number)
        seed.press("Enter")
        another_case(canned_page, before)
        pictures.append(stage(canned_page, "case"))
    assert pictures[0] == pictures[2] != pictures[1]


def test_an_uploaded_picture_is_analysed(shared, tmp_path):
    path, before = tmp_path / "wide.png", stage(shared, "case")
    scenes.make(99).image.resize((448, 224)).save(path)
    upload(shared, path)
    another_case(shared, before)
    opened = state(shared)["case"]
    assert (opened["picture"]["width"], opened["padding"]) == (448, 84)


BAD = ("text", "svg", "truncated", "long", "tiny")


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / "bad.jpg"
    if kind == "text":
        path.write_text("not a picture")
    elif kind == "svg":
        path = folder / "bad.svg"
        path.write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    elif kind == "truncated":
        scenes.make(1).image.resize((900, 900)).save(path)
        path.write_bytes(path.read_bytes()[:3000])
    else:
        path = folder / "bad.png"
        Image.new("RGB", (20000, 10) if kind == "long" else (1, 1)).save(path)
    return path


def test_a_bad_file_gets_a_sentence_and_changes_nothing(canned_page, tmp_path):
    before = stage(canned_page, "case")
    note = canned_page.locator("#vt-picture-notes .vt-notes[data-kind=error]")
    for kind in BAD:
        if note.count():
            note.evaluate("note => note.replaceChildren()")
        upload(canned_page, bad_file(kind, tmp_path))
        expect(note).to_contain_text(re.compile(r"\w.*\."), timeout=60_000)
        assert stage(canned_page, "case") == before, kind
    canned_page.locator(".vt-thumbs button").nth(1).click()
    another_case(canned_page, before)
    expect(note).to_have_count(0)


def test_a_question_without_words_gets_a_sentence(canned_page):
    before = stage(canned_page, "case")
    question = canned_page.locator("#vt-question textarea, #vt-question input").first
    question.fill("   ")
    canned_page.locator("#vt-ask-button").click()
    expect(canned_page.locator("#vt-question-notes")).to_contain_text("question")
    question.fill("why " * 200)
    canned_page.locator("#vt-ask-button").click()
    expect(canned_page.locator("#vt-question-notes")).to_contain_text("characters")
    assert stage(canned_page, "case") == before
    question.fill("what is in the middle ?")  # the next picture is asked what stands there


def test_text_of_visitors_never_runs(shared):
    evil = "<img src=x onerror='window.hacked=1'> ${window.hacked=1} {{constructor}}"
    before = stage(shared, "case")
    question = shared.locator("#vt-question textarea, #vt-question input").first
    question.fill(evil)
    question.press("Enter")
    another_case(shared, before)
    answered(shared)
    assert shared.evaluate("window.hacked") is None
    expect(shared.locator("#vt-question-notes")).to_contain_text("does not know")


def test_the_stage_is_mounted_once_and_the_strip_of_answers_fills_in(canned_page):
    canned_page.evaluate("document.querySelector('.vt-stage canvas').dataset.mine = 'yes'")
    before = stage(canned_page, "case")
    canned_page.locator("#vt-scene button").click()
    another_case(canned_page, before)
    assert canned_page.evaluate("document.querySelector('.vt-stage canvas').dataset.mine") == "yes"
    answered_all(canned_page)


def test_two_visitors_see_only_their_own(browser, canned_page, canned_url, tmp_path):
    other = visit(browser, canned_url)
    pages = [canned_page, other]
    before = [stage(page, "case") for page in pages]
    for number, page in enumerate(pages):
        path = tmp_path / f"{number}.png"
        scenes.make(number).image.save(path)
        upload(page, path)
    for page, case in zip(pages, before, strict=True):
        another_case(page, case)
        answered(page)
    assert stage(pages[0], "case") != stage(pages[1], "case")
    sources = [state(page)["case"]["picture"]["src"] for page in pages]
    assert sources[0] != sources[1]
    assert other.errors == []
    leave(other)


def test_everything_of_a_question_fits_one_screen(canned_page):
    page = canned_page
    answered(page)
    for name in ("#vt-left", ".vt-stage", ".vt-readout"):
        box = page.locator(name).first.bounding_box()
        assert box["y"] + box["height"] <= SIZE["height"] + 1, name


def test_a_dark_phone_shows_it_without_scrolling_sideways(browser, canned_url):
    size = {"width": 390, "height": 844}
    page = visit(browser, f"{canned_url}/?__theme=dark", viewport=size)
    colour = page.evaluate("getComputedStyle(document.querySelector('.vt-stage')).color")
    assert min(int(number) for number in re.findall(r"\d+", colour)[:3]) > 150
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = [page.locator(name).first.bounding_box()["y"] for name in ("#vt-left", ".vt-stage")]
    assert tops[0] < tops[1] < page.locator(".vt-readout").first.bounding_box()["y"]
    slider = page.locator(SLIDER).bounding_box()
    assert slider["y"] + slider["height"] <= 844, "the slider is in view from the start"
    page.locator(".vt-larger").click()
    expect(page.locator("#vt-larger .js-plotly-plot .legend")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.errors == []
    leave(page)
