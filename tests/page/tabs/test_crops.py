"""A model that sees a picture twice, whole and in crops, on the page that it was given to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import hosted_folder, leave, open_tab, requests_of, state, until, visit, visiting
from playwright.sync_api import expect
from unit.vlm.families import test_llava_next as llava_next

from explorer import analyses
from explorer.cases.records import Analysis
from explorer.cases.request import CaseRequest
from explorer.methods.ops import crops
from explorer.pico.data import scenes
from explorer.ui import examples
from explorer.vlm.catalog import Catalog
from explorer.vlm.loader import ModelLoader

pytestmark = pytest.mark.browser

OPENING = examples.load(examples.names()[0])  # what the page opens with
QUESTION = OPENING["case"]["question"]
DARK = """(view) => new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(() => {
    const canvas = document.querySelector(".vt-stage canvas");
    const { rows, columns } = explorerState().case.views[view];
    const pen = canvas.getContext("2d");
    const { data, width } = pen.getImageData(0, 0, canvas.width, canvas.height);
    const alpha = (row, column) => {
      const y = Math.floor((row + 0.5) * canvas.height / rows);
      const x = Math.floor((column + 0.5) * canvas.width / columns);
      return data[4 * (y * width + x) + 3];
    };
    done(Array.from({ length: rows }, (_, row) =>
      Array.from({ length: columns }, (_, column) => alpha(row, column) > 100)));
  }));
})"""
SLIDE = """(budget) => {
  const slider = document.querySelector("#vt-budget");
  slider.value = String(budget);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}"""
TOUCH = """(kind) => document.querySelector("#vt-budget")
  .dispatchEvent(new PointerEvent(`pointer${kind}`, { bubbles: true }))"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-next"
    vlm = llava_next.TestMistral.build(False)
    vlm.model.save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def own(folder) -> Analysis:
    """What the model of the folder says without a page."""
    catalog = Catalog()
    vlm = ModelLoader(catalog=catalog).load(catalog.register(str(folder)))
    return analyses.analyse(CaseRequest.make(vlm, scenes.make(OPENING["seed"]).image, QUESTION))


@pytest.fixture(scope="module")
def url(folder):
    with hosted_folder(folder) as address:
        yield address


@pytest.fixture(scope="module")
def page(browser, url):
    with visiting(browser, url) as opened:
        until(opened, "state.case.model === 'tiny-next'")
        yield opened


def test_the_page_goes_on_from_its_example_with_the_model_that_was_given(page):
    expect(page.locator("#vt-model option:checked")).to_have_text("tiny-next")
    assert state(page)["case"]["question"] == QUESTION


def test_both_views_show_what_is_kept_at_every_position_of_the_slider(page, own):
    order = next(found.order for found in own.methods if found.spec == "clsattn")
    views, place = own.grid.views, own.grid.place
    assert [view.name for view in views] == ["whole picture", "crops"]
    stage = page.locator(".vt-stage")
    for view in (*views, views[0]):  # there and back by hand
        stage.get_by_role("button", name=view.name).click()
        assert state(page)["view"] == own.grid.views.index(view)
    page.locator("#vt-method").select_option("clsattn")
    stage.get_by_role("button", name="Kept only").click()
    for budget in (own.grid.count, own.grid.count // 2, own.grid.count // 8):
        page.evaluate(SLIDE, budget)
        kept = place[order[:budget]]
        for number, view in enumerate(views):
            stage.get_by_role("button", name=view.name).click()
            here = kept[kept[:, 0] == number]
            dark = np.ones((view.rows, view.columns), bool)
            dark[here[:, 1], here[:, 2]] = False
            assert page.evaluate(DARK, number) == dark.tolist()
            words = f"kept ({len(here)} in this view)"
            expect(stage).to_contain_text(words)
    stage.get_by_role("button", name="Score + kept").click()


def test_a_word_of_the_answer_is_followed_into_the_crops(page, own):
    open_tab(page, "Inside")
    until(page, "state.inside?.map && !state.inside.busy")
    maps = page.locator("#vt-inside-maps")
    for number, view in enumerate(own.grid.views):
        maps.get_by_role("button", name=view.name).click()
        until(page, "state.inside.view === number", number=number)
        maps.locator("#vt-inside-full .vt-large").focus()
        page.keyboard.press("ArrowDown")
        until(page, "state.inside.cursor >= 0")
        assert own.grid.place[state(page)["inside"]["cursor"]][0] == number
        expect(maps.locator("#vt-inside-full-line")).to_contain_text(" %")
    open_tab(page, "Explore")


# Slides through budgets; gives what is drawn of every crop at each of them.
CROPS = """async (budgets) => {
  const slider = document.querySelector("#vt-budget");
  const keys = ["crop", "kept", "count", "allotted"];
  const drawn = [];
  for (const budget of budgets) {
    slider.value = String(budget);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
    const crops = [...document.querySelectorAll(".vt-crop")];
    drawn.push(crops.map(({ dataset }) => keys.map((key) => Number(dataset[key] ?? -1))));
  }
  return drawn;
}"""


@pytest.mark.parametrize("method", ["hired", "hired:paper", "clsattn"])
def test_every_crop_tells_what_is_kept_of_it_and_allotted_to_it(page, own, method):
    found = next(each for each in own.methods if each.spec == method)
    page.locator("#vt-method").select_option(method)
    until(
        page,
        "state.method === method && ['computed', 'memory'].includes(state.pruned.is)",
        method=method,
    )
    sizes = np.bincount(own.crops[own.crops >= 0])
    assert len(sizes) == 5, "the whole picture and four crops"
    page.evaluate(TOUCH, "down")
    sent = requests_of(page)
    budgets = range(1, own.grid.count + 1)
    for budget, drawn in zip(budgets, page.evaluate(CROPS, [*budgets]), strict=True):
        kept = own.crops[found.order[:budget]]
        given_to = [-1] * 5
        if method.startswith("hired"):
            alpha, share = found.crop_shares
            table = crops.budgets(
                torch.from_numpy(share), torch.from_numpy(sizes), torch.tensor([budget]), alpha
            )
            given_to = table[:, 0].tolist()
        wanted = [[n, int((kept == n).sum()), sizes[n], given_to[n]] for n in range(5)]
        assert drawn == wanted, budget
    assert sent == []
    page.evaluate(TOUCH, "up")
    expect(page.locator(".vt-crops-title")).to_contain_text(
        "what the method allots" if method != "clsattn" else "kept / of each"
    )


def test_the_compared_pictures_change_their_view_too(page):
    page.get_by_role("tab", name="Compare").click()
    button = page.locator(".vt-compare").get_by_role("button", name="crops")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    colours = [
        page.locator(".vt-compare")
        .get_by_role("button", name=name)
        .evaluate("button => getComputedStyle(button).backgroundColor")
        for name in ("whole picture", "crops")
    ]
    assert colours[0] != colours[1], "the pressed one looks pressed"


def test_a_link_goes_before_the_model_that_was_given(browser, url):
    page = visit(browser, f"{url}/?example=corner")
    until(page, "state.case.question.includes('top right')")
    page.locator("#vt-budget").press("ArrowLeft")  # its answer waits behind what else was asked
    until(page, "state.pruned.is === 'computed'")
    assert state(page)["case"]["model"] == "pico"
    leave(page)


def test_views_fit_a_phone(page):
    before = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    for tab in ("Compare", "Explore"):
        open_tab(page, tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size(before)
