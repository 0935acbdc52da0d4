"""The tab "Compare" in a real Chromium: one slider for all methods, answers, pairs, agreement."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import answered_all, box_at_rest, leave, requests_of, state, until, visit
from playwright.sync_api import Browser, Page, expect

from explorer.analyses import comparison
from explorer.methods import catalog
from explorer.methods.chance import chance_of, chances_of, draws_of

pytestmark = pytest.mark.browser
SIZE = {"width": 1366, "height": 1080}
SLIDER = "#vt-compare-budget"
PATIENCE = 60_000  # milliseconds
SCENE = 7
# Some of every group, readings among them: what becomes of these becomes of all.
SOME = frozenset(
    "random uniform pool clsattn hired hired:paper visionzip vispruner lexrank lexrank:degree "
    "divprune cdpruner mmtok tome fastv pyramiddrop sparsevlm todre vscan relevance_map".split()
)
SHOWN = ".vt-mini canvas:nth-child(2):visible"  # not those of readings, which are folded up


def visit_tab(browser: Browser, url: str, **context) -> Page:
    """Open the tab in a fresh session; any script error fails the test at its end."""
    page = visit(browser, url, **context)
    if f"?scene={SCENE}" in url:
        until(page, "state.case.seed === seed", seed=SCENE)
    compare(page)
    return page


def compare(page: Page) -> None:
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_selector(".vt-compare[data-is]")


def opened(browser: Browser, url: str) -> Iterator[tuple[Page, dict]]:
    """A visit for several tests, and what it opened with."""
    page = visit_tab(browser, url)
    done(page)
    yield page, compared(page)
    leave(page)


@pytest.fixture(scope="module")
def visited(browser: Browser, url: str) -> Iterator[tuple[Page, dict]]:
    yield from opened(browser, url)


@pytest.fixture(scope="module")
def scene_url(_canned) -> Iterator[str]:
    """The address of a scene that has fewer methods, as have all that are opened after it."""
    canned, url = _canned
    canned.specs = SOME
    yield f"{url}/?scene={SCENE}"
    canned.specs = frozenset()


@pytest.fixture(scope="module")
def visited_canned(browser: Browser, scene_url: str) -> Iterator[tuple[Page, dict]]:
    yield from opened(browser, scene_url)


@pytest.fixture
def with_pico(visited) -> Iterator[Page]:
    """The tab as a visitor finds it, whom pico answers."""
    yield from as_found(*visited)


@pytest.fixture
def page(visited_canned, canned) -> Iterator[Page]:
    """The tab as a visitor finds it, for tests of what becomes of answers, whatever they say."""
    yield from as_found(*visited_canned)


def as_found(page: Page, opened: dict) -> Iterator[Page]:
    """Go to the budget that it opened with, nothing chosen, whatever case is open."""
    compare(page)
    page.locator("#vt-compare-sort").select_option(opened["sort"])
    page.locator("#vt-compare-family").select_option(opened["family"])
    for name, key in zip(("Method A", "Method B"), opened["pair"], strict=True):
        page.locator("#vt-pair").get_by_label(name).select_option(key)
    page.evaluate("scrollTo(0, 0)")
    move(page, opened["budget"])
    done(page, opened["budget"])
    yield page
    assert page.errors == []


def compared(page: Page) -> dict:
    """What the tab knows."""
    return state(page)["compare"]


def done(page: Page, budget: int | None = None) -> None:
    """Wait until all answers are there (for this budget) and agreement is drawn."""
    page.wait_for_function(
        """(budget) => {
          const { dataset } = document.querySelector(".vt-compare");
          const here = budget === null || dataset.budget === String(budget);
          const { settled } = explorerState().compare;
          return here && settled && dataset.is === "done" && dataset.agreed === dataset.budget;
        }""",
        arg=budget,
        timeout=PATIENCE,
    )


def drawn(page: Page) -> None:
    """Wait until what was just changed is drawn, and what waits for a calm hand, too."""
    frames = """async (count) => {
      for (let i = 0; i < count; i++) await new Promise(requestAnimationFrame);
    }"""
    page.evaluate(frames, 2)
    until(page, "state.compare.calm")
    page.evaluate(frames, 2)


def ask(page: Page, seed: int, question: str | None = None) -> None:
    """Open a scene that no other test opens, and a question, in the other tab; come back."""
    page.get_by_role("tab", name="Explore").click()
    stage, seeds = page.locator(".vt-stage"), page.locator("#vt-seed input")
    before = stage.get_attribute("data-case")
    seeds.fill(str(seed))
    seeds.press("Enter")
    expect(stage).not_to_have_attribute("data-case", before, timeout=PATIENCE)
    if question is not None:
        before = stage.get_attribute("data-case")
        words = page.locator("#vt-question textarea, #vt-question input").first
        words.fill(question)
        words.press("Enter")
        expect(stage).not_to_have_attribute("data-case", before, timeout=PATIENCE)
    compare(page)


def move(page: Page, budget: int) -> None:
    """Put the slider somewhere, as keys do: without a pointer."""
    page.evaluate(
        """(budget) => {
          const slider = document.querySelector("#vt-compare-budget");
          slider.value = String(budget);
          slider.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        budget,
    )


def drag(page: Page, *shares: float, release: bool = True) -> None:
    box = box_at_rest(page, SLIDER)
    y = box["y"] + box["height"] / 2
    at = compared(page)["budget"] / 196
    page.mouse.move(box["x"] + box["width"] * at, y)
    page.mouse.down()
    for share in shares:
        page.mouse.move(box["x"] + box["width"] * share, y, steps=4)
    if release:
        page.mouse.up()


def cards(page: Page) -> list[dict]:
    """Read what stands on the cards, in the order of the page."""
    return page.locator(".vt-mini").evaluate_all(
        """(all) => all.map((card) => ({
          ...card.dataset,
          text: card.querySelector(".vt-mini-text").textContent,
          sign: card.querySelector(".vt-sign").textContent,
          ms: parseFloat(card.querySelector(".vt-mini-name small").textContent),
          floor: card.querySelector(".vt-out:not([hidden])")?.textContent ?? "",
          pressed: card.getAttribute("aria-pressed"),
          label: card.getAttribute("aria-description"),
        }))"""
    )


def entries(page: Page) -> list[dict]:
    return compared(page)["entries"]


def pixels(page: Page, selector: str) -> list[str]:
    """What is drawn, as one string per canvas."""
    return page.locator(selector).evaluate_all("(all) => all.map((c) => c.toDataURL())")


def test_every_method_has_a_card_with_a_picture_and_an_answer(with_pico):
    page = with_pico
    keys = state(page)["case"]["methods"]
    assert sorted(card["method"] for card in cards(page)) == sorted(keys)
    for card in cards(page):
        assert card["text"] and card["label"]
        if card["method"] != "random":
            assert card["sign"] in "=≠" and card["ms"] > 0
    drawn = pixels(page, SHOWN)[:14]  # those in view
    assert len(set(drawn)) > len(drawn) / 2, "different methods keep different patches"


def test_the_line_of_the_first_picture_counts_as_many_as_stand_here(with_pico):
    line = with_pico.locator("#vt-question-notes").inner_text()
    counted = re.search(r"With (\d+) of \d+ patches (\d+ of \d+ methods)", line)
    move(with_pico, int(counted[1]))
    expect(with_pico.locator(".vt-compare-says")).to_contain_text(f"{counted[2]} give the full")


def test_cards_stand_in_groups_with_readings_folded_under_their_method(page):
    groups = page.locator(".vt-mini-groups section")
    shown = map(catalog.resolve, state(page)["case"]["methods"])
    named = list(dict.fromkeys(map(catalog.group_of, shown)))
    assert groups.evaluate_all("(all) => all.map((g) => g.dataset.group)") == named
    for group in named:
        own = page.locator(f"[data-group='{group}'] .vt-mini")
        keys = own.evaluate_all("(all) => all.map((card) => card.dataset.method)")
        assert keys and {catalog.group_of(catalog.resolve(key)) for key in keys} == {group}
    family = page.locator(".vt-mini-family", has=page.locator("[data-method=lexrank]"))
    reading = family.locator("[data-method='lexrank:degree']")
    expect(reading).to_be_hidden()
    family.locator("summary").click()
    expect(reading).to_be_visible()
    family.locator("summary").click()
    page.locator("#vt-compare-sort").select_option("likely")  # across groups, all in one list
    expect(groups).to_have_count(0)
    expect(page.locator(".vt-mini[data-method='lexrank:degree']")).to_be_visible()


def test_a_card_is_found_by_its_name(page):
    page.get_by_text("Find a method").click()
    page.locator(".vt-finder button[data-key=vispruner]").click()
    expect(page.locator(".vt-mini[data-method=vispruner]")).to_be_focused()
    expect(page.locator(".vt-mini[data-method=vispruner]")).to_be_in_viewport()
    page.get_by_text("Find a method").click()


def test_dragging_moves_all_cards_without_a_single_request(page):
    answered_all(page)
    page.locator(".vt-mini").first.evaluate("card => card.scrollIntoView({ block: 'start' })")
    drawn(page)
    requests = requests_of(page)
    before, pictures = cards(page), pixels(page, SHOWN)
    drag(page, 0.9, 0.5, 0.15, 0.75, release=False)
    until(page, "state.compare.budget > 120")
    drawn(page)
    after = cards(page)
    still = {
        new["method"]: new["kept"]
        for new, old in zip(after, before, strict=True)
        if new["kept"] == old["kept"]
    }
    assert set(still.values()) <= {"0"}, "those that merge everything keep no patch as it was"
    now = pixels(page, SHOWN)
    assert all(a != b for a, b in zip(now[:14], pictures[:14], strict=True)), "those in view"
    assert requests == []
    page.mouse.up()


def test_answers_come_when_the_hand_rests_and_belong_to_the_budget(page):
    ask(page, 31)
    drag(page, 0.9, 0.2, 0.4)
    budget = compared(page)["budget"]
    done(page, budget)
    for entry in entries(page):
        assert entry["answer"]["budget"] == entry["budget"], entry["key"]
    expect(page.locator("#vt-compare-live")).to_contain_text(f"{budget} of 196 kept")
    expect(page.locator("#vt-compare-live")).to_contain_text("give the full answer")


def test_what_the_browser_knows_is_not_asked_again(page):
    ask(page, 32)
    for budget in (60, 196):
        move(page, budget)
        done(page, budget)
    asked = requests_of(page)
    move(page, 60)
    done(page, 60)
    assert asked == [] and not compared(page)["busy"]


def test_only_the_last_budget_is_finished(page, canned):
    gate = canned.answers
    ask(page, 33)
    done(page)
    canned.reset()
    gate.hold(after=3)
    move(page, 40)
    gate.reached()
    move(page, 80)
    canned.until_run(2)
    gate.hold(after=4)
    gate.reached()
    move(page, 120)
    canned.until_run(3)
    gate.open()
    done(page, 120)
    assert all(entry["answer"] for entry in entries(page))
    budgets = Counter(budget for _, budget in canned.given if budget in (40, 80))
    assert budgets == {40: 3, 80: 4}, "dropped on the way"


def test_cancel_stops_and_go_on_goes_on(page, canned):
    ask(page, 34)
    done(page)
    canned.reset()
    canned.answers.hold(after=5)
    move(page, 30)
    canned.answers.reached()
    page.locator("#vt-compare-cancel").click()
    expect(page.locator("#vt-compare-cancel")).to_be_hidden()
    expect(page.locator(".vt-compare-status")).to_contain_text("Stopped")
    canned.answers.left()
    canned.answers.open()
    page.get_by_role("tab", name="Debug").click()  # its answer waits for whatever was asked before
    page.click("#vt-keep-all")
    until(page, "state.debug.tokens.length === 196 && state.debug.known")
    assert len(canned.runs) == 1 and len(canned.given) == 5
    assert len(compared(page)["missing"]) >= canned.runs[0] - 5
    compare(page)
    page.get_by_role("button", name="Go on").click()
    done(page, 30)
    assert compared(page)["missing"] == []


def test_cards_are_sorted_by_what_is_chosen(page):
    order = page.locator("#vt-compare-sort")
    likelihoods = [entry["likelihood"] for entry in entries(page)]
    assert likelihoods == sorted(likelihoods, reverse=True)
    order.select_option("ms")
    drawn(page)
    times = [entry["answer"]["seconds"]["select"] for entry in entries(page)]
    assert times == sorted(times)
    assert [card["method"] for card in cards(page)] == [entry["key"] for entry in entries(page)]
    order.select_option("same")
    drawn(page)
    same = [entry["answer"]["same"] for entry in entries(page)]
    assert same == sorted(same, reverse=True)
    order.select_option("right")
    drawn(page)
    right = [entry["answer"]["right"] for entry in entries(page)]
    assert right == sorted(right, reverse=True)
    order.select_option("listed")
    drawn(page)
    keys = state(page)["case"]["methods"]
    assert [card["method"] for card in cards(page)] == keys


@pytest.mark.parametrize(
    ("family", "belongs"),
    [
        ("question", lambda entry: entry["reads_question"]),
        (
            "vision",
            lambda entry: not entry["reads_question"] and entry["where"] == "before the LLM",
        ),
        ("inside", lambda entry: entry["where"] != "before the LLM"),
        ("merges", lambda entry: entry["merges"]),
    ],
)
def test_a_family_is_shown_with_the_baselines(page, family, belongs):
    every = entries(page)
    page.locator("#vt-compare-family").select_option(family)
    drawn(page)
    shown = {card["method"] for card in cards(page)}
    assert shown == {e["key"] for e in every if e["baseline"] or belongs(e)}
    assert {"random", "uniform", "pool"} <= shown and len(shown) > 3
    expect(page.locator(".vt-matrix tbody tr")).to_have_count(len(shown))


def test_a_method_that_can_not_go_so_low_is_marked(page):
    move(page, 8)
    done(page, 8)
    by_name = {card["method"]: card for card in cards(page)}
    assert by_name["fastv"]["reached"] == "no"
    assert re.fullmatch(r"floor \d+", by_name["fastv"]["floor"])
    assert "can't go below" in by_name["fastv"]["label"]
    assert by_name["clsattn"]["floor"] == ""


def test_who_does_worse_than_random_is_marked(page, canned):
    full = canned.recording.analysis.full
    page.locator("#vt-compare-sort").select_option("likely")  # cards in the order of entries
    drawn(page)
    budget = compared(page)["budget"]
    for entry, card in zip(entries(page), cards(page), strict=True):
        chance = entry["chance"]
        assert chance["draws"] >= 5
        if entry["budget"] == budget:
            draws = draws_of(chance_of(entry["key"]))
            answers = [canned.recording.answer(draw, budget) for draw in draws]
            lowest = min(comparison.likelihood(answer, full) for answer in answers)
            assert chance["low"] == pytest.approx(lowest, abs=1e-3)
        low = f"{chance['low']:.2f}"
        worse = entry["key"] != "random" and f"{entry['likelihood']:.2f}" < low
        assert ("worse" in card) == worse, entry["key"]
        assert ("worse than random" in card["label"]) == worse
        assert ("baseline" in card) == (entry["key"] in comparison.BASELINES)


def test_two_cards_are_laid_side_by_side(page):
    page.locator(".vt-mini[data-method=uniform]").click()
    page.locator(".vt-mini[data-method=divprune]").focus()
    page.keyboard.press("Enter")
    panel = page.locator("#vt-pair")
    expect(panel).to_have_attribute("data-pair", "uniform divprune")
    pressed = [card["method"] for card in cards(page) if card["pressed"] == "true"]
    assert sorted(pressed) == ["divprune", "uniform"]
    counts = [int(text) for text in panel.locator(".vt-legend b").all_text_contents()]
    assert sum(counts) == 196
    budget = compared(page)["budget"]
    assert counts[0] + counts[1] == counts[0] + counts[2] == budget
    panel.scroll_into_view_if_needed()
    drawn(page)
    before = pixels(page, ".vt-pair-middle canvas:nth-child(2)")
    panel.get_by_label("Method B").select_option("random")
    expect(panel).to_have_attribute("data-pair", "uniform random")
    drawn(page)
    assert pixels(page, ".vt-pair-middle canvas:nth-child(2)") != before
    panel.locator(".vt-large").nth(1).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(panel.locator(".vt-pair-line")).to_contain_text("Row 2, column 1: A")


def test_the_table_can_be_read_on_a_projector(with_pico):
    page = with_pico
    page.set_viewport_size({"width": 1024, "height": 768})
    drawn(page)
    page.wait_for_function(  # nothing scrolls sideways, once it is laid out anew
        """() => {
          const box = document.querySelector(".vt-matrix-box");
          return box.clientWidth > 0 && box.scrollWidth <= box.clientWidth;
        }"""
    )
    heads = page.locator(".vt-matrix thead th").all_text_contents()
    assert "similarity" in heads and len(heads) == len(set(heads)) <= 9
    size = page.locator(".vt-matrix td[data-kind]").first
    assert size.evaluate("cell => parseFloat(getComputedStyle(cell).fontSize)") >= 14
    page.locator(".vt-matrix td[data-at='1 2']").click()
    groups = {method.spec: catalog.group_of(method) for method in catalog.choices()}
    page.wait_for_function(
        """([groups, wanted]) => document.querySelector("#vt-pair").dataset.pair.split(" ")
          .map((key) => groups[key]).join() === wanted.join()""",
        arg=[groups, heads[1:3]],
    )
    page.set_viewport_size(SIZE)


def test_a_cell_of_the_table_opens_its_pair(page):
    page.locator("#vt-compare-sort").select_option("likely")  # cards in the order of entries
    page.locator("#vt-agreement").get_by_role("button", name="Methods", exact=True).click()
    drawn(page)
    page.locator(".vt-matrix td[data-at='2 4']").click()
    keys = [card["method"] for card in cards(page)]
    expect(page.locator("#vt-pair")).to_have_attribute("data-pair", f"{keys[2]} {keys[4]}")
    page.locator(".vt-matrix td[data-at='2 4']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#vt-pair")).to_have_attribute("data-pair", f"{keys[3]} {keys[5]}")
    expect(page.locator(".vt-matrix-line")).to_contain_text("rank correlation")
    selected = page.locator(".vt-matrix td[aria-selected=true]")
    expect(selected).to_have_count(2)


def test_a_few_methods_are_compared_by_themselves(page, canned):
    choice, chosen = page.locator("#vt-choice"), ["clsattn", "fastv", "hired:paper", "divprune"]
    choice.locator("summary").first.click()
    expect(choice.locator("input[value='hired:paper']")).to_be_hidden()
    choice.locator("div:has(> label input[value=hired]) summary").click()
    for key in chosen:
        choice.locator(f"input[value='{key}']").check()
    expect(page.locator(".vt-mini")).to_have_count(len(chosen))
    drawn(page)
    assert sorted(card["method"] for card in cards(page)) == sorted(chosen)
    pair, first = (
        page.locator(name).first.bounding_box()["y"] for name in ("#vt-pair", ".vt-mini")
    )
    assert pair < first, "A and B stand above all cards"
    assert set(compared(page)["pair"]) <= set(chosen)
    assert [card["method"] for card in cards(page)][:2] == compared(page)["pair"], "pinned"
    move(page, 117)
    done(page, 117)
    chances = chances_of(["random", *chosen])
    wanted = {*chosen, *(draw for chance in chances for draw in draws_of(chance))}
    assert {spec for spec, budget in canned.given if budget == 117} <= wanted
    order = [card["method"] for card in cards(page)]
    drag(page, 0.3, 0.8, 0.5, release=False)
    assert [card["method"] for card in cards(page)] == order
    page.mouse.up()
    for key in ("random", "uniform"):
        choice.locator(f"input[value={key}]").check()
    expect(choice.locator("input[value=mmtok]")).to_be_disabled()
    choice.get_by_role("button", name="All methods").click()
    expect(page.locator(".vt-mini")).to_have_count(len(state(page)["case"]["methods"]))
    choice.locator("summary").first.click()


def test_all_numbers_can_be_downloaded(page, tmp_path):
    with page.expect_download() as waiting:
        page.locator("#vt-compare-csv").click()
    path = Path(tmp_path / waiting.value.suggested_filename)
    waiting.value.save_as(path)
    assert path.suffix == ".csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    known = {entry["key"]: entry for entry in entries(page)}
    assert set(rows) == {"full", *known, *comparison.DRAWS}
    assert rows["fastv"]["random"] == "random_inside" and rows["clsattn"]["random"] == "random"
    for key, entry in known.items():
        assert rows[key]["answer"] == entry["answer"]["text"]
        assert float(rows[key]["p_full"]) == pytest.approx(entry["answer"]["p_full"])
        assert int(rows[key]["patches_kept"]) == len(rows[key]["kept"].split())
        assert float(rows[key]["select_ms"]) > 0
    assert rows["full"]["question"] == state(page)["case"]["question"]
    assert not math.isnan(float(rows["clsattn"]["random_mean"]))


def test_text_of_visitors_never_runs(page):
    evil = "<img src=x onerror='window.hacked=1'> ${window.hacked=1} {{constructor}}"
    ask(page, 35, evil)
    expect(page.locator(".vt-compare-caption")).to_contain_text("onerror")
    assert page.evaluate("window.hacked") is None


def test_cards_are_made_once_and_follow_another_case(page):
    page.locator("#vt-compare-sort").select_option("listed")  # its card is in view then
    drawn(page)
    page.evaluate("document.querySelector('[data-method=clsattn] canvas').dataset.mine = 'yes'")
    [before] = pixels(page, ".vt-mini[data-method=clsattn] canvas:nth-child(1)")
    ask(page, 36)
    page.wait_for_function(
        """(before) => document.querySelector(".vt-mini[data-method=clsattn] canvas:nth-child(1)")
          .toDataURL() !== before""",
        arg=before,
        timeout=PATIENCE,
    )
    mine = "document.querySelector('[data-method=clsattn] canvas').dataset.mine"
    assert page.evaluate(mine) == "yes"


def test_the_budget_comes_along_from_the_other_tab_and_back(page):
    page.get_by_role("tab", name="Explore").click()
    page.locator("#vt-budget").focus()
    page.keyboard.press("End")
    compare(page)
    until(page, "state.compare.budget === 196")
    done(page, 196)
    assert all(entry["answer"]["same"] for entry in entries(page))
    move(page, 44)
    done(page, 44)
    page.locator(".vt-mini[data-method=divprune]").click()
    page.locator("#vt-pair").get_by_role("button", name="Explore").nth(1).click()
    stage = page.locator(".vt-stage")
    expect(stage).to_have_attribute("data-method", "divprune")
    expect(stage).to_have_attribute("data-budget", "44")


def test_a_dark_phone_shows_it_without_scrolling_sideways(browser, scene_url):
    size = {"width": 390, "height": 844}
    page = visit_tab(browser, f"{scene_url}&__theme=dark", viewport=size)
    done(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for place in (".vt-mini", "#vt-pair", "#vt-agreement", "#vt-disputed"):
        page.locator(place).first.evaluate("(part) => part.scrollIntoView({ block: 'center' })")
        slider = page.locator(SLIDER).bounding_box()
        assert slider["y"] > 0 and slider["y"] + slider["height"] <= 844, place
    for place in (".vt-compare", ".vt-mini", "#vt-compare-sort"):
        colour = page.evaluate(f"getComputedStyle(document.querySelector('{place}')).color")
        assert min(int(number) for number in re.findall(r"\d+", colour)[:3]) > 150, place
    assert page.errors == []
    leave(page)


def test_redrawing_all_cards_is_light(with_pico):
    page = with_pico
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # other work doesn't count

    def script() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in metrics if each["name"] == "ScriptDuration")

    before = script()
    page.evaluate(
        """(async () => {
          const slider = document.querySelector("#vt-compare-budget");
          const tell = (event) => slider.dispatchEvent(event);
          tell(new PointerEvent("pointerdown", { bubbles: true }));
          for (let budget = 20; budget < 140; budget += 2) {
            slider.value = String(budget);
            tell(new Event("input", { bubbles: true }));
            await new Promise(requestAnimationFrame);
            await new Promise((resolve) => setTimeout(resolve));
          }
          tell(new PointerEvent("pointerup", { bubbles: true }));
        })()"""
    )
    assert (script() - before) / 60 < 0.016, "seconds of script per frame"
