"""The tab "Video" with a model that reads frames in pairs, and with one that reads none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import hosted, until, visit
from playwright.sync_api import Page, expect
from unit.vlm.families import test_llava_next as llava_next
from unit.vlm.families import test_qwen_vl as qwen_vl

from explorer.vlm.catalog import Catalog
from explorer.vlm.devices import LoadSettings
from explorer.vlm.loader import default_loader

pytestmark = pytest.mark.browser
PATIENCE = 60_000  # milliseconds


def opened(browser, folder, family, **context) -> Iterator[Page]:
    """The tab "Video" of a page that begins with a tiny random model."""
    vlm = family.build(False)
    vlm.model.save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    with pytest.MonkeyPatch.context() as patch:
        loader = default_loader()
        patch.setattr(loader, "catalog", Catalog())
        loader.configure(LoadSettings(), waits=False)  # as the app does: nobody waits for a load
        yield from visited(browser, loader.catalog.register(str(folder)), **context)
    default_loader().configure(LoadSettings())


def visited(browser, model: str, **context) -> Iterator[Page]:
    with hosted(model) as url:
        page = visit(browser, url, **context)
        until(page, "state.case.model === model", model=model)
        page.get_by_role("tab", name="Video").click()
        yield page
        assert page.errors == []
        page.context.close()


@pytest.fixture
def paired(browser, tmp_path):
    yield from opened(browser, tmp_path / "tiny-pairs", qwen_vl.TestQwen25)


@pytest.fixture
def cutting(browser, tmp_path):
    yield from opened(browser, tmp_path / "tiny-next", llava_next.TestMistral)


def test_frames_of_a_pair_share_grid_and_tokens(paired):
    board = paired.locator(".vt-film")
    expect(board).to_have_attribute("data-is", "done", timeout=PATIENCE)
    cards = paired.locator(".vt-frame")
    expect(cards).to_have_count(9)
    grids = cards.evaluate_all("(all) => all.map((f) => f.dataset.grid)")
    assert grids[:8:2] == grids[1:8:2] and len(set(grids)) > 1
    bars = cards.evaluate_all("(all) => all.map((f) => f.querySelectorAll('.vt-frame-bar span')[0])"
                              ".map((bar) => bar.textContent)")  # fmt: skip
    assert all(bar == "as before: a pair" for bar in bars[1:8:2])
    assert not any("pair" in bar for bar in bars[::2])
    kept = cards.evaluate_all("(all) => all.map((f) => Number(f.dataset.kept))")
    budget = int(board.get_attribute("data-budget"))
    assert budget - 4 < sum(kept) < budget + 0.5  # the method has a ladder of budgets
    expect(paired.locator(".vt-film-notes")).to_contain_text("reads frames in pairs")
    expect(paired.locator(".vt-film-notes")).not_to_contain_text("contact sheet")
    expect(paired.locator("#vt-film-sheet")).to_be_hidden()


def test_a_model_that_cuts_pictures_up_says_that_it_reads_no_videos(cutting):
    notes = cutting.locator("#vt-video-notes")
    expect(notes).to_contain_text("please choose another model for videos", timeout=PATIENCE)
