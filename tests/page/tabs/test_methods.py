"""The tab "Methods" and methods on demand, in a real Chromium."""

from __future__ import annotations

import pytest
from conftest import open_tab, visiting
from playwright.sync_api import expect

from explorer.methods import catalog
from explorer.metrics import phenomena
from explorer.metrics.leaderboard.table import read_table

pytestmark = pytest.mark.browser
PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def page(browser, url):
    with visiting(browser, url) as opened:
        yield opened


def test_every_method_has_a_card_that_follows_the_open_picture(page):
    open_tab(page, "Methods")
    cards = page.locator(".vt-card-method")
    expect(cards).to_have_count(len(catalog.METHODS) + len(catalog.OF_VIDEOS))
    of_frames = page.locator("[data-group='frames of a video'] [data-method=dycoke]")
    expect(of_frames.locator("[aria-live]")).to_contain_text("frames of a video")
    quick = [m.card.key for m in catalog.METHODS if not m.slow]
    for key in quick:
        card = page.locator(f".vt-card-method[data-method='{key}']")
        expect(card.locator("canvas")).to_be_visible()
        expect(card.locator("[aria-live]")).to_contain_text("patches kept")
        expect(card.locator(".vt-diagram title")).not_to_be_empty()


def test_a_card_is_found_by_its_name_in_a_list_of_groups(page):
    open_tab(page, "Methods")
    lines = page.locator("#vt-cards .vt-index li")
    methods = (*catalog.METHODS, *catalog.OF_VIDEOS)
    groups = [catalog.group_of(method) for method in methods]
    expect(lines).to_have_count(len(set(groups)))
    for method, group in zip(methods, groups, strict=True):
        expect(lines.filter(has_text=group).locator(f"[data-key={method.card.key}]")).to_have_count(
            1
        )
    lines.locator("[data-key=pact]").click()
    expect(page.locator(".vt-card-method[data-method=pact] h3")).to_be_in_viewport()


def test_cards_are_filtered_by_words_and_badges_and_settings_are_readable(page):
    open_tab(page, "Methods")
    cards = page.locator(".vt-card-method:visible")
    page.fill("#vt-methods-filter", "todre")
    expect(cards).to_have_count(1)
    tau = cards.get_by_label("ToDRE: τ (tau)")
    expect(tau.locator("..")).to_contain_text("the attention below which all leave late")
    assert "no" in cards.get_by_label("ToDRE: late").locator("option").all_inner_texts()
    page.fill("#vt-methods-filter", "")
    merging = page.locator(".vt-methods-badges").get_by_role("button", name="merges", exact=True)
    merging.click()
    expect(cards).to_have_count(sum(method().merges for method in catalog.METHODS))
    merging.click()
    expect(cards).to_have_count(len(catalog.METHODS) + len(catalog.OF_VIDEOS))
    words = page.locator(".vt-card-method option").all_inner_texts()
    assert not {"True", "False", "None"} & set(words)


def test_a_word_tells_its_definition_to_pointer_and_keys(page):
    open_tab(page, "Methods")
    box = page.locator("#vt-definition")
    page.locator("#vt-tab-methods .vt-glossary").get_by_role("button", name="nested").click()
    expect(box).to_be_visible()
    expect(box).to_contain_text("A larger budget keeps the same tokens and some more")
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    page.keyboard.press("Enter")
    expect(box).to_contain_text("From: ours")
    page.keyboard.press("Escape")
    open_tab(page, "Explore")  # there words stand where they are used
    page.locator("#vt-costs").get_by_role("button", name="KV cache").press("Enter")
    expect(box).to_contain_text("Keys and values of all tokens")
    page.keyboard.press("Escape")


def test_the_leaderboard_opens_above_the_cards(page):
    open_tab(page, "Methods")
    box = page.locator("#vt-leaderboard")
    box.get_by_text("Does pruning work here?").click()
    expect(box.locator(".js-plotly-plot").first).to_be_visible(timeout=PATIENCE)
    expect(box).to_contain_text("better than its own random: ")
    with page.expect_download() as table:
        box.get_by_role("button", name="Table as CSV").click()
    rows = read_table(table.value.path())
    assert set(rows["method"]) >= {"full", "random", "visionzip", "fastv"}
    expect(box).to_contain_text(f"leaderboard --scenes {rows['n'].max()}")
    page.get_by_text("What pico shows of large models").click()
    expect(page.locator("#vt-phenomena tbody tr")).to_have_count(len(phenomena.read()[0]))
    heads = page.locator("#vt-phenomena th")
    height = "(all) => all.map((head) => head.getBoundingClientRect().height)"
    for width in (1366, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert max(heads.evaluate_all(height)) < 60, "no word is broken, whatever the width"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1366, "height": 1080})


def test_a_changed_setting_is_worked_out_and_can_be_shown(page):
    open_tab(page, "Methods")
    card = page.locator(".vt-card-method[data-method='random']")
    card.get_by_label("Random: seed").select_option("3")
    expect(card).to_have_attribute("data-spec", "random?seed=3")
    expect(card.locator("[aria-live]")).to_contain_text("patches kept", timeout=PATIENCE)
    card.get_by_role("button", name="Show on the picture").click()
    expect(page.locator(".vt-stage").first).to_have_attribute("data-method", "random?seed=3")


def test_a_number_is_written_as_the_server_reads_it_and_positions_may_be_kept(page):
    open_tab(page, "Methods")
    card = page.locator(".vt-card-method[data-method='mmtok']")
    alpha = card.get_by_label("MMTok: α (alpha)")
    assert "picture" in alpha.locator("..").get_attribute("title")
    alpha.select_option("1.0")
    card.get_by_label("MMTok: positions").select_option("keep")
    expect(card).to_have_attribute("data-spec", "mmtok?alpha=1.0&positions=keep")
    expect(card.locator("[aria-live]")).to_contain_text("patches kept", timeout=PATIENCE)


def test_a_slow_method_is_worked_out_when_it_is_chosen(page):
    open_tab(page, "Explore")
    page.locator("#vt-method").select_option("relevance")
    expect(page.locator(".vt-stage").first).to_have_attribute(
        "data-method", "relevance", timeout=PATIENCE
    )
