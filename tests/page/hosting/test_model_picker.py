"""Choosing a model in a real browser: progress, cancel, failure, and others who go on meanwhile."""

from __future__ import annotations

import re
import shutil
import threading
from dataclasses import replace

import pytest
from canned import Canned
from conftest import hosted, leave, visit
from huggingface_hub import constants
from playwright.sync_api import Page, expect

from explorer import ROOT
from explorer.vlm.catalog import Catalog, read_entries
from explorer.vlm.devices import LoadSettings
from explorer.vlm.loader import default_loader
from explorer.vlm.progress import Progress, report

pytestmark = pytest.mark.browser
NOTES = "#vt-model-notes"


@pytest.fixture(scope="module")
def gate():
    """Holds back the loads of the model "Twin" until it is opened."""
    return threading.Event()


@pytest.fixture(scope="module")
def canned(recording):
    """What answers in place of the models."""
    return Canned(recording)


@pytest.fixture(scope="module")
def url(tmp_path_factory, gate, canned):
    """The page in this process, with a zoo of three: pico, a folder of its own, one far away.

    Models are loaded as ever; what they would say comes from the recording.
    """
    folder = tmp_path_factory.mktemp("twin")
    shutil.copytree(ROOT / "assets/pico", folder, dirs_exist_ok=True)
    pico = read_entries()["pico"]
    listed = {
        "pico": pico,
        "twin": replace(
            pico, key="twin", title="Twin", family="smolvlm", path=str(folder), live=False
        ),
        "far": replace(pico, key="far", title="Far", path="", hub="explorer-tests/nowhere"),
    }
    loader, read = default_loader(), default_loader()._read

    def held(entry, device, report):
        done = 0.0
        while entry.key == "twin" and not gate.wait(0.05):
            done = min(done + 5e7, 2e9)
            report(Progress(done, 4e9, "download"))
        return read(entry, device, report)

    def after_a_look(*asked, **how):
        report(Progress(4, 17, "tower"))
        yield from canned.compute_answers(*asked, **how)

    cases = replace(canned.use_cases(), compute_answers=after_a_look)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "catalog", Catalog(listed))
        patch.setattr(loader, "_read", held)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "ENDPOINT", "http://10.255.255.1")  # nobody there, nobody refuses
        loader.configure(LoadSettings(), waits=False)
        with hosted(use_cases=cases) as address:
            yield address
            gate.set()
    loader.configure(LoadSettings())


def choose(page: Page, title: str) -> None:
    page.get_by_label("Model", exact=True).select_option(label=title)


def case(page: Page) -> str:
    return page.locator(".vt-stage").first.get_attribute("data-case")


def test_a_model_loads_beside_others_can_be_cancelled_and_opens_the_case(
    page, browser, url, gate, canned
):
    before = case(page)
    choose(page, "Twin")
    notes = page.locator(NOTES)
    expect(notes).to_contain_text("Loading Twin")
    expect(notes).to_contain_text("of 4.0 GB downloaded")
    expect(notes.locator("progress")).to_have_attribute("value", re.compile(r"^0\.\d+$"))

    other = visit(browser, url)  # somebody else is answered meanwhile
    first = case(other)
    other.locator("#vt-scene button").click()
    other.wait_for_function(
        "before => document.querySelector('.vt-stage').dataset.case !== before",
        arg=first,
        timeout=60_000,
    )
    assert not gate.is_set()
    leave(other)

    notes.get_by_role("button", name="Cancel").click()
    expect(notes).to_contain_text("Twin: cancelled.")
    expect(notes.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(page.get_by_label("Model", exact=True)).to_have_value("pico")
    assert case(page) == before and "twin" not in default_loader().models

    choose(page, "Twin")
    expect(notes).to_contain_text("downloaded")
    gate.set()
    page.wait_for_function(
        "before => document.querySelector('.vt-stage').dataset.case !== before",
        arg=before,
        timeout=60_000,
    )
    expect(notes.locator(".vt-notes")).to_be_hidden()
    expect(page.locator("#vt-full .vt-answer")).not_to_be_empty()
    assert "twin" in default_loader().models
    pieces = page.get_by_label("Pieces of the picture")
    expect(pieces).to_have_value("twin@whole")
    expect(page).to_have_url(re.compile(r"model=twin%40whole&"))
    pieces.select_option(label="all pieces")
    expect(page).to_have_url(re.compile(r"model=twin&"))
    expect(pieces).to_have_value("twin@full")
    expect(page.get_by_label("Model", exact=True)).to_have_value("twin")

    canned.answers.hold()  # what a model that takes seconds is doing is said while it does it
    page.get_by_role("tab", name="Compare").click()
    page.locator("#vt-compare-call").click()
    says = page.locator(".vt-compare-says")
    expect(says).to_contain_text("… · Looking at the picture, part 5 of 17 …")
    page.locator("#vt-compare-cancel").click()
    expect(says).to_contain_text("Stopped:")
    canned.answers.left()
    canned.answers.open()


def test_a_model_that_is_out_of_reach_is_told_soon_and_the_case_stays(page):
    before = case(page)
    choose(page, "Far")
    expect(page.locator(NOTES)).to_contain_text("could not be fetched", timeout=60_000)
    expect(page.locator(NOTES)).to_contain_text("pico")
    expect(page.get_by_label("Model", exact=True)).to_have_value("pico")
    assert case(page) == before


def test_the_row_fits_on_a_phone_in_the_dark(browser, url, gate):
    gate.clear()
    models = default_loader().models
    with models._lock:
        models._loaded.pop("twin", None)
    size = {"width": 390, "height": 800}
    page = visit(browser, url, color_scheme="dark", viewport=size)
    choose(page, "Twin")
    button = page.locator(NOTES).get_by_role("button", name="Cancel")
    expect(button).to_be_visible()
    expect(page.locator(NOTES).locator("progress")).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    button.click()
    expect(page.locator(NOTES)).to_contain_text("cancelled")
    leave(page)
