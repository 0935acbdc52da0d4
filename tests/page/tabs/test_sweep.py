"""The tab "Sweep" in a real Chromium: points, progress, Cancel, what is shared with other tabs."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from conftest import answered_all, leave, requests_of, state, until, visit, visiting
from playwright.sync_api import Browser, Page, expect

from explorer import analyses
from explorer.analyses.sweep import FIVE
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.methods.chance import chance_of
from explorer.metrics import budget_curve
from explorer.pico.data import scenes

pytestmark = pytest.mark.browser
PATIENCE = 60_000  # milliseconds
PLOT = ".vt-sweep-plot"
# Where on the screen the first method's point is that lies farthest from chance.
FARTHEST = """() => {
  const plot = document.querySelector(".vt-sweep-plot");
  const { left, top } = plot.getBoundingClientRect();
  const { xaxis, yaxis } = plot._fullLayout;
  const { chance, curves } = explorerState().sweep;
  const apart = ({ likelihood }, i) => Math.abs(likelihood - chance[i].mean);
  const inner = curves[0].points.slice(0, -1); // at N all lines meet
  const far = inner.map(apart);
  const { budget, likelihood } = inner[far.indexOf(Math.max(...far))];
  return {
    budget,
    x: left + xaxis._offset + xaxis.d2p(budget),
    y: top + yaxis._offset + yaxis.d2p(likelihood),
  };
}"""


def sweep(page: Page) -> None:
    page.get_by_role("tab", name="Sweep").click()
    page.wait_for_selector(".vt-sweep[data-is]")


def done(page: Page) -> None:
    """Wait until every answer is there and drawn."""
    page.wait_for_function(
        """() => {
          const root = document.querySelector(".vt-sweep");
          const { curves, random, settled } = explorerState().sweep;
          const points = curves.reduce((sum, { points }) => sum + 2 * points.length, 0);
          const all = points + random[0].points.length;
          const drawn = Number(root.querySelector(".vt-sweep-plot").dataset.points);
          return settled && root.dataset.is === "done" && drawn === all;
        }""",
        timeout=PATIENCE,
    )


def choose(page: Page, *methods: str) -> None:
    """Take these methods and no others."""
    page.evaluate(
        """(methods) => {
          const boxes = [...document.querySelectorAll(".vt-sweep-methods input")];
          for (const box of boxes) if (box.checked !== methods.includes(box.value)) box.click();
        }""",
        methods,
    )


@pytest.fixture(scope="module")
def whole(browser: Browser, url: str) -> Page:
    """A sweep of the first example that has ended; tests look at it and leave it as it is."""
    page = visit(browser, url)
    sweep(page)
    done(page)
    yield page
    assert page.errors == []
    leave(page)


def test_the_page_sums_up_as_the_function_does(whole):
    swept = state(whole)["sweep"]
    curves, chance = swept["curves"], swept["chance"]
    assert [curve["key"] for curve in curves] == list(FIVE)
    for curve in curves:
        assert curve["random"] == chance_of(curve["key"])
        own = curve["chance"]
        ladder, means = [c["budget"] for c in own], [c["mean"] for c in own]
        assert (own == chance) == (curve["random"] == "random")
        budgets = [point["budget"] for point in curve["points"]]
        same = [point["same"] for point in curve["points"]]
        heights = [point["likelihood"] for point in curve["points"]]
        assert (curve["kStar"], curve["flips"]) == (
            budget_curve.k_star(budgets, same),
            budget_curve.n_flips(same),
        )
        assert curve["auc"] == pytest.approx(budget_curve.auc(budgets, heights))
        there = np.interp(np.log2(budgets), np.log2(ladder), means)
        assert curve["aucRandom"] == pytest.approx(budget_curve.auc(budgets, there))
    draws = [curve["points"][6]["likelihood"] for curve in swept["random"]]
    assert len(draws) >= 5
    assert (chance[6]["low"], chance[6]["high"]) == (min(draws), max(draws))


def test_points_are_the_answers_that_the_function_gives(whole):
    shown = state(whole)
    question, seed = shown["case"]["question"], shown["case"]["seed"]
    image, cache = scenes.make(seed).image, ResultCache(100_000_000)
    for curve in shown["sweep"]["curves"][1::2]:
        for point in (curve["points"][1], curve["points"][-2], curve["points"][-1]):
            budget = point["budget"]
            own = analyses.answer(
                CaseRequest.make("pico", image, question), curve["key"], budget, cache=cache
            )
            assert point["answer"]["text"] == own.text
            assert point["likelihood"] == pytest.approx(own.p_full, abs=1e-3)


def test_the_plot_has_a_line_per_method_a_band_and_floors(whole):
    traces = whole.evaluate(
        """document.querySelector(".vt-sweep-plot").data.map((trace) => ({
          name: trace.name, axis: trace.yaxis ?? "y", fill: trace.fill, x: [...trace.x],
          text: trace.text, symbols: trace.marker?.symbol,
        }))"""
    )
    curves = state(whole)["sweep"]["curves"]
    names = [curve["title"] for curve in curves]
    for axis in ("y", "y2"):
        assert [t["name"] for t in traces if t["axis"] == axis and t["name"] in names] == names
    assert [t["fill"] for t in traces if t["name"] == "random, highest"] == ["tonexty"]
    assert [(t["name"], t["x"]) for t in traces if "floor" in t["name"]] == [("FastV, floor", [34])]
    line = next(t for t in traces if t["name"] == "DivPrune")
    for text, symbol, point in zip(line["text"], line["symbols"], curves[1]["points"], strict=True):
        assert point["answer"]["text"][:150] in text.replace("<br>", " ")
        assert symbol.endswith("open") is not point["same"]


def test_the_table_says_where_answers_break(whole):
    curves = {c["key"]: c for c in state(whole)["sweep"]["curves"]}
    rows = whole.locator(".vt-sweep-table tbody tr")
    expect(rows).to_have_count(len(curves) + 1)
    for key, curve in curves.items():
        row = whole.locator(f".vt-sweep-table tr[data-method={key}]")
        cells = row.locator("td").all_text_contents()
        assert cells[:2] == [str(curve["kStar"]), str(curve["flips"])]
        assert (
            row.locator("button[data-safe]")
            .get_attribute("aria-label")
            .startswith(f"{curve['title']}, {curve['kStar']} tokens")
        )
    hatched = whole.locator(".vt-sweep-table tr[data-method=fastv] td[data-out]")
    assert hatched.count() == len([b for b in (4, 6, 8, 12, 16, 24, 32) if b < 34])
    words = whole.locator(".vt-sweep-says").text_content()
    assert "DivPrune" in words and "random down to" in words


def test_mdi_counts_the_first_token_when_asked_to(whole):
    def drawn() -> list[float]:
        return whole.evaluate(
            """[...document.querySelector(".vt-sweep-plot").data.find(
              ({ name, yaxis }) => name === "DivPrune" && yaxis === "y2").y]"""
        )

    points = state(whole)["sweep"]["curves"][1]["points"]
    found = [point["answer"]["dominance"] for point in points]
    box = whole.locator(".vt-sweep-tools .vt-first-token input")
    for measured, checked in ((found, False), ([each["with_first"] for each in found], True)):
        box.set_checked(checked)
        wanted = [each["stages"]["middle"][0] for each in measured]
        whole.wait_for_function(
            """(y) => document.querySelector(".vt-sweep-plot").data.some(
              (trace) => trace.name === "DivPrune" && trace.yaxis === "y2" && trace.y[0] === y)""",
            arg=wanted[0],
        )
        assert drawn() == wanted
    box.set_checked(False)
    assert found[0]["stages"] != found[0]["with_first"]["stages"]


def test_the_table_can_be_downloaded(whole, tmp_path):
    with whole.expect_download() as waiting:
        whole.locator("#vt-sweep-csv").click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    curves = {c["key"]: c for c in state(whole)["sweep"]["curves"]}
    assert set(rows) >= set(curves) and len(rows) == len(curves) + 5
    for key, curve in curves.items():
        assert int(rows[key]["k_star"]) == curve["kStar"]
        assert float(rows[key]["area"]) == pytest.approx(curve["auc"])
        for point in curve["points"]:
            assert rows[key][f"answer_at_{point['budget']}"] == point["answer"]["text"]
    assert rows["fastv"]["answer_at_4"] == "" and rows["divprune"]["answer_at_4"] != ""


def test_a_click_on_a_point_opens_it_in_explore_with_its_strip_filled(browser, canned_url, canned):
    with visiting(browser, canned_url) as page:
        sweep(page)
        choose(page, "divprune")
        done(page)
        place = page.evaluate(FARTHEST)
        page.mouse.move(place["x"], place["y"])
        expect(page.locator(f"{PLOT} .hoverlayer")).to_contain_text("DivPrune")
        page.mouse.click(place["x"], place["y"])
        stage = page.locator(".vt-stage")
        expect(stage).to_have_attribute("data-method", "divprune")
        expect(stage).to_have_attribute("data-budget", str(place["budget"]))
        expect(page.locator("#vt-ladder")).to_be_visible()
        unknown = page.locator("#vt-ladder button[data-is=unknown]")
        assert unknown.count() <= 1, "all but N are known from the sweep"
        assert page.locator("#vt-pruned").get_attribute("data-state") == "memory"


def test_cancel_stops_and_go_on_asks_for_what_is_missing(browser, canned_url, canned):
    with visiting(browser, canned_url) as page:
        answered_all(page)
        canned.answers.hold(after=30)
        sweep(page)
        canned.answers.reached()
        expect(page.locator(".vt-sweep-says")).to_contain_text(re.compile(r"Answer \d+ of \d+"))
        page.locator("#vt-sweep-cancel").click()
        expect(page.locator("#vt-sweep-cancel")).to_be_hidden()
        expect(page.locator("#vt-sweep-call")).to_have_text("Go on")
        canned.answers.left()
        canned.answers.open()
        page.get_by_role("tab", name="Debug").click()  # its answer waits for what was asked before
        page.click("#vt-keep-all")
        until(page, "state.debug.tokens.length === 196 && state.debug.known")
        shown, runs = state(page), list(canned.runs)
        missing = {spec for spec, _ in shown["sweep"]["missing"]}
        assert missing - {shown["method"]}, "whose strip may have filled in"
        assert len(canned.given) == 30
        sweep(page)
        choose(page, "clsattn")
        page.locator("#vt-sweep-call").click()
        done(page)
        assert canned.runs[: len(runs)] == runs and len(canned.runs) > len(runs)
        asked = requests_of(page)
        choose(page)
        choose(page, "clsattn")
        done(page)
        assert asked == [] and not state(page)["sweep"]["busy"], "what is known is not asked again"


def test_a_phone_shows_it_without_scrolling_sideways_and_dark_is_dark(browser, canned_url):
    page = visit(browser, canned_url + "/?__theme=dark", viewport={"width": 390, "height": 844})
    sweep(page)
    done(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(PLOT).bounding_box()["width"] <= 390
    colour = page.evaluate(f"getComputedStyle(document.querySelector('{PLOT}')).color")
    assert min(int(number) for number in re.findall(r"\d+", colour)[:3]) > 150
    assert page.errors == []
    leave(page)
