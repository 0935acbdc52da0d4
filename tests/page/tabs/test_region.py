"""A second look at a region, in a real Chromium."""

from __future__ import annotations

import re

import pytest
from conftest import box_at_rest, state, visiting
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def page(browser, url):
    with visiting(browser, url) as opened:
        opened.get_by_role("tab", name="Debug").click()
        opened.wait_for_selector(".vt-field img")
        yield opened


def region(page: Page) -> str:
    return page.locator(".vt-field").get_attribute("aria-label")


def test_it_is_told_whose_idea_the_second_look_is(page):
    source = page.locator("#vt-region a")
    expect(source).to_contain_text("Visual Perception Token")
    expect(source).to_have_attribute("href", "https://arxiv.org/abs/2502.17425")


def test_cells_are_chosen_by_hand_and_by_keys(page):
    field = page.locator(".vt-field")
    box = box_at_rest(page, ".vt-field")
    at = [box["x"] + box["width"] * 1.5 / 8, box["y"] + box["height"] * 2.5 / 8]
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] + box["width"] / 4, at[1] + box["height"] / 8, steps=4)
    page.mouse.up()
    expect(field).to_have_attribute("aria-label", re.compile("columns 2 to 4, rows 3 to 4 of 8"))
    field.focus()
    field.press("ArrowRight")
    field.press("Shift+ArrowDown")
    expect(field).to_have_attribute("aria-label", re.compile("columns 3 to 5, rows 3 to 5 of 8"))
    for _ in range(9):
        field.press("ArrowUp")
    expect(field).to_have_attribute("aria-label", re.compile("columns 3 to 5, rows 1 to 3 of 8"))


def test_four_answers_come_side_by_side(page):
    page.get_by_role("button", name="Look again").click()
    expect(page.locator(".vt-region")).to_have_attribute("data-state", "done", timeout=PATIENCE)
    cards = page.locator(".vt-region-cards .vt-answer-card")
    expect(cards).to_have_count(4)
    full = state(page)["full"]["text"]
    expect(cards.nth(0).locator(".vt-answer")).to_have_text(full)
    expect(cards.nth(0)).to_contain_text("= same")
    expect(cards.nth(1)).to_contain_text("196 + 196 visual tokens")
    expect(cards.nth(3)).to_contain_text("98 + 98 visual tokens")


def test_a_method_inside_the_model_says_why_it_has_no_answer(page):
    page.get_by_role("tab", name="Explore").click()
    page.locator("#vt-method").select_option("fastv")
    page.get_by_role("tab", name="Debug").click()
    page.get_by_role("button", name="Around the best patches").click()
    expect(page.locator(".vt-region")).to_have_attribute("data-state", "done", timeout=PATIENCE)
    card = page.locator(".vt-answer-card[data-mode=equal]")
    expect(card).to_contain_text("inside the language model")
    assert "of 8" in region(page)
