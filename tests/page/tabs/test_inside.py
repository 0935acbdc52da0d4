"""The tab "Inside": words under a slider, maps of both answers, layers, and keys that are read."""

from __future__ import annotations

import csv
import re

import pytest
from canned_inside import FREE_FROM, STANDS_FROM
from conftest import leave, open_tab, requests_of, state, until, visit, visiting
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
ALL_KNOWN = (
    "state.inside?.map && state.inside.reads && state.inside.removal.length === 12 "
    "&& !state.inside.busy"
)
# The brightness of a patch of a map as it is painted, by its number.
PAINTED = """([name, token]) => {
  const canvas = document.querySelectorAll(`#vt-inside-${name} canvas`)[1];
  const { rows, columns } = explorerState().case.views[0];
  const x = ((token % columns) + 0.5) * canvas.width / columns;
  const y = (Math.floor(token / columns) + 0.5) * canvas.height / rows;
  const [r, g, b] = canvas.getContext("2d").getImageData(x, y, 1, 1).data;
  return r + g + b;
}"""


@pytest.fixture(scope="module")
def inside(browser, canned_url):
    with visiting(browser, canned_url) as page:
        open_tab(page, "Inside")
        until(page, ALL_KNOWN)
        yield page


def brightness(page: Page, name: str, token: int) -> int:
    """How bright a patch is on the map, once the frame of the last change is drawn."""
    page.locator(f"#vt-inside-{name}").scroll_into_view_if_needed()
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")
    return page.evaluate(PAINTED, [name, token])


def test_the_slider_walks_over_words_without_asking_and_the_map_follows(inside, canned):
    slider, asked = inside.locator("#vt-inside-step"), requests_of(inside)
    slider.focus()
    inside.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("“a”, said at the prompt"))
    until(inside, "state.inside.step === 0")
    first = brightness(inside, "full", 0)
    inside.keyboard.press("ArrowRight")
    expect(inside.locator("#vt-inside-step-line")).to_have_text("“duck”, said at “a”")
    until(inside, "state.inside.step === 1")
    assert brightness(inside, "full", 0) < first, "the word before has lit up this patch"
    assert brightness(inside, "full", 1) > brightness(inside, "full", 0)
    inside.locator("#vt-inside-words-full button", has_text="end").click()
    until(inside, "state.inside.step === 2")
    assert asked == []


def test_a_layer_and_a_head_bring_their_own_map(inside, canned):
    inside.locator("#vt-inside-shares-full g").nth(4).click()
    until(inside, "state.inside.map?.layer === 4 && !state.inside.busy")
    expect(inside.locator("#vt-inside-layer")).to_have_value("4")
    inside.locator("#vt-inside-head").select_option("2")
    until(inside, "state.inside.map?.head === 2 && !state.inside.busy")
    inside.get_by_role("button", name="Tower", exact=True).click()
    until(inside, "state.inside.map?.what === 'tower' && !state.inside.busy")
    expect(inside.locator("#vt-inside-layer")).to_be_disabled()
    inside.get_by_role("button", name="Attention", exact=True).click()
    until(inside, "state.inside.map?.what === 'attention' && !state.inside.busy")
    inside.locator("#vt-inside-full .vt-large").focus()
    inside.keyboard.press("ArrowDown")
    expect(inside.locator("#vt-inside-full-line")).to_contain_text("row 1, column 1")
    expect(inside.locator("#vt-inside-pruned-line")).to_contain_text("row 1, column 1")


def test_layers_say_where_the_answer_is_made_and_where_it_needs_no_picture(inside):
    stands = f"stands from behind layer {STANDS_FROM + 1} of 12"
    expect(inside.locator("#vt-inside-stands")).to_contain_text(stands)
    marked = inside.locator("#vt-inside-lens tr td:nth-child(2)[data-stands]")
    expect(marked).to_have_count(12 - STANDS_FROM)
    inside.locator(f"#vt-inside-lens tr[data-layer='{STANDS_FROM}'] th").click()
    until(inside, f"state.inside.map?.layer === {STANDS_FROM} && !state.inside.busy")
    likely = inside.locator("#vt-inside-candidates")
    expect(likely).to_contain_text(re.compile(rf"Likely behind layer {STANDS_FROM + 1}\. .*%.*%"))
    gone = f"may leave before layer {FREE_FROM + 1}: the answer stays"
    expect(inside.locator("#vt-inside-removal-line")).to_contain_text(gone)
    expect(inside.locator("#vt-inside-removal circle[data-same]")).to_have_count(12 - FREE_FROM)


def test_other_settings_read_other_keys(inside, canned):
    inside.locator("#vt-inside-step").fill("1")
    keys = inside.locator("#vt-inside-set-keys")
    keys.fill("10")
    keys.press("Enter")
    until(inside, "state.inside.reads?.tidal.keys === 10")
    inside.locator("#vt-inside-set-scope").select_option("visual")
    until(inside, "state.inside.reads?.tidal.scope === 'visual'")
    inside.locator("#vt-inside-keys summary").click()
    inside.locator("#vt-inside-set-correction").fill("9")
    inside.locator("#vt-inside-set-correction").press("Enter")
    until(inside, "state.inside.reads?.tidal.correction === 8")
    inside.locator("#vt-inside-set-correction").fill("")
    inside.locator("#vt-inside-set-correction").press("Enter")
    until(inside, "state.inside.reads?.tidal.correction === 5")
    inside.locator("#vt-inside-step").fill("0")  # read whole, by the prompt
    expect(inside.locator("#vt-inside-tidal-line")).to_contain_text("everything is read")
    expect(inside.locator("#vt-inside-recall")).to_be_hidden()
    inside.get_by_role("button", name="Whole answer").click()
    expect(inside.locator("#vt-inside-recall")).to_be_visible()
    expect(inside.locator("#vt-inside-tidal-line")).to_contain_text("read 100 % of the time")
    expect(inside.locator("#vt-inside-notice")).to_be_hidden()
    keys.fill("1000")
    keys.press("Enter")
    expect(inside.locator("#vt-inside-notice")).to_contain_text("read everything")
    expect(inside.locator("#vt-inside-apply")).to_contain_text("“a duck”, the same")


def test_tables_can_be_taken_home(inside, tmp_path):
    for name, n_rows in (("layers", 2 * 3 * 12), ("patches", 196)):
        with inside.expect_download() as saved:
            inside.locator(f"#vt-inside-csv-{name}").click()
        path = tmp_path / f"{name}.csv"
        saved.value.save_as(path)
        rows = list(csv.DictReader(path.open(encoding="utf-8")))
        assert len(rows) == n_rows
    assert {row["full"] for row in rows[:3]} > {"0"}


def test_pico_is_looked_into_and_another_budget_is_looked_into_anew(browser, url):
    page = visit(browser, f"{url}/?__theme=dark", viewport={"width": 390, "height": 844})
    open_tab(page, "Inside")
    until(page, ALL_KNOWN)
    known = state(page)["inside"]["runs"]
    for run in known.values():
        for shares in run["shares"]:
            assert all(abs(sum(layer) - 1) < 1e-3 for layer in shares)
        assert run["says"][-1] == run["predicted"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    budget = known["pruned"]["budget"]
    open_tab(page, "Explore")
    page.locator("#vt-budget").focus()
    page.keyboard.press("ArrowLeft")
    open_tab(page, "Inside")
    until(page, f"state.inside.runs.pruned?.budget === {budget - 1} && {ALL_KNOWN}")
    assert page.errors == []
    leave(page)
