"""The tab "Video" in a real Chromium: built-in film, uploads, slider, exponent, other methods.

At the end with a model that reads frames in pairs, and with one that reads none.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clips import gif, written
from conftest import (
    box_at_rest,
    hosted_folder,
    leave,
    open_tab,
    requests_of,
    state,
    until,
    visit,
    visiting,
)
from playwright.sync_api import Page, expect
from unit.vlm.families import test_llava_next as llava_next
from unit.vlm.families import test_qwen_vl as qwen_vl

from explorer import analyses
from explorer.analyses.video import budgets, clip_case, frame_scoring
from explorer.analyses.video.budgets import BudgetAllocation
from explorer.analyses.video.clip_case import VideoRequest
from explorer.cases.answers import full_run
from explorer.media import video
from explorer.methods.frames.dycoke import DyCoke
from explorer.pico.data import videos
from explorer.ui.tabs.video import ACTS, EXAMPLE, FRAMES, QUESTION

pytestmark = pytest.mark.browser
PATIENCE = 60_000  # milliseconds
BOARD = ".vt-video-view"


@pytest.fixture(scope="module")
def page(browser, url):
    with visiting(browser, url) as opened:
        opened.get_by_role("tab", name="Video").click()
        done(opened)
        yield opened


@pytest.fixture(scope="module")
def own() -> tuple[clip_case.VideoCase, list[float]]:
    """The built-in film, computed without a page."""
    clip = video.from_images(videos.make(EXAMPLE, ACTS).images, videos.FPS, FRAMES)
    opened = clip_case.open_video_case(VideoRequest.make("pico", clip, QUESTION))
    return opened, frame_scoring.frame_scores(opened, frame_scoring.frame_query(opened))


def done(page: Page) -> None:
    """Wait until the answers are drawn that the last move of a hand has led to."""
    until(page, "state.video?.settled && !state.video.busy")
    expect(page.locator(BOARD)).to_have_attribute("data-is", "done", timeout=PATIENCE)


def grids(page: Page) -> list[str]:
    return page.locator(".vt-frame").evaluate_all("(all) => all.map((f) => f.dataset.grid)")


def answer(page: Page, which: str) -> str:
    return page.locator(f"#vt-video-view-{which} .vt-answer").inner_text()


def move(page: Page, slider: str, value: int) -> None:
    """Put a slider somewhere, as keys do, and wait for the answers."""
    page.locator(slider).evaluate(
        """(slider, value) => {
          slider.value = String(value);
          slider.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        value,
    )
    done(page)


def wanted_grids(own, budget: int, share: BudgetAllocation) -> list[str]:
    opened, scores = own
    return [f"{h}x{w}" for h, w in share.shapes(opened, scores, budget)]


def test_the_built_in_film_is_there_without_an_upload(page, own):
    assert grids(page) == wanted_grids(own, 48, BudgetAllocation())
    opened, scores = own
    assert answer(page, "full") == full_run(opened.case).answer.text
    assert answer(page, "quota") == budgets.answer_by_quota(opened, scores, 48).text
    assert answer(page, "other") == budgets.answer_by_method(opened, "clsattn", 48).text
    kept = page.locator(".vt-frame").evaluate_all("(all) => all.map((f) => Number(f.dataset.kept))")
    assert sum(kept) == 48
    expect(page.locator(".vt-video-view-notes")).to_contain_text("contact sheet")
    sheet = page.locator("#vt-video-view-sheet img")
    assert sheet.evaluate("(image) => image.naturalWidth") == 224
    cards = page.locator("#vt-video-view-cards")
    cards.locator("summary").click()
    expect(cards).to_contain_text("DyCoke")
    expect(cards).to_contain_text(DyCoke.card.uncertain)


def test_the_frames_follow_every_budget_exponent_and_version(page, own):
    for budget in (1, 77, 144):
        move(page, "#vt-video-view-budget", budget)
        assert grids(page) == wanted_grids(own, budget, BudgetAllocation())
    move(page, "#vt-video-view-alpha", 0)
    assert grids(page) == ["4x4"] * 9
    move(page, "#vt-video-view-budget", 48)
    assert grids(page) == wanted_grids(own, 48, BudgetAllocation(alpha=0))
    assert answer(page, "quota") in ("yes", "no"), "whatever pico sees in even shares"
    move(page, "#vt-video-view-alpha", 4)
    page.get_by_role("button", name="v2", exact=True).click()
    move(page, "#vt-video-view-budget", 100)
    assert grids(page) == wanted_grids(own, 100, BudgetAllocation(version="v2"))
    page.get_by_role("button", name="v1", exact=True).click()


def test_a_moving_hand_asks_nothing_and_a_resting_one_once(page):
    move(page, "#vt-video-view-budget", 60)
    box = box_at_rest(page, "#vt-video-view-budget")
    y = box["y"] + box["height"] / 2
    sent = requests_of(page)
    page.mouse.move(box["x"] + box["width"] * 59 / 143, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, y, steps=12)
    page.wait_for_function("Number(document.querySelector('.vt-video-view').dataset.budget) > 100")
    assert state(page)["video"]["settled"] and sent == []
    page.mouse.up()
    done(page)
    assert 0 < len([url for url in sent if "join" in url]) <= 3


def test_any_method_prunes_the_union_of_frames(page, own):
    move(page, "#vt-video-view-budget", 48)
    for method in ("fastv", "pool", "random"):
        page.locator("#vt-video-view-method").select_option(method)
        done(page)
        drawn = budgets.map_of_method(own[0], method)
        if drawn.order is not None:
            kept = budgets.answer_by_method(own[0], method, 48)
            assert answer(page, "other") == kept.text
        total = page.locator(".vt-frame").evaluate_all(
            "(all) => all.reduce((sum, f) => sum + Number(f.dataset.kept), 0)"
        )
        assert 0 < total <= 50
    page.locator("#vt-video-view-method").select_option("clsattn")
    done(page)
    told = state(page)["video"]["other"]["dominance"]
    row = page.get_by_role("row", name="MDI [CLS] attention").locator("td")
    for counted in (told, told["with_first"]):
        expect(row.nth(3)).to_have_text(str(counted["text"]))
        expect(row.nth(4)).to_have_text(str(counted["image"][-1]))
        page.locator(".vt-video-view").get_by_label("count the first token").click()


def test_the_same_is_asked_of_fewer_frames(page, own):
    page.locator("#vt-coherence-go").click()
    table = page.locator("#vt-coherence")
    expect(table).to_have_attribute("data-is", "done", timeout=PATIENCE)
    request = VideoRequest.make("pico", own[0].clip, QUESTION)
    rows = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
    for row, found in zip(rows, analyses.coherence(request, "clsattn", 48), strict=True):
        said = [(found.full, True), found.said, found.chance]
        signs = ["", *("=" if same else "≠" for _, same in said[1:])]
        assert row[1] == f"{found.budget} of {found.tokens}"
        assert row[2:] == [
            f"“{text}” {sign}".strip() for (text, _), sign in zip(said, signs, strict=True)
        ]


def test_something_else_can_be_looked_for(page):
    expect(page.locator("#vt-coherence")).to_be_visible()
    page.locator("#vt-video-things textarea, #vt-video-things input").first.fill("pizza")
    before = page.locator(".vt-video-view-caption").inner_text()
    page.locator("#vt-video-ask").click()
    expect(page.locator(".vt-video-view-caption")).not_to_have_text(before, timeout=PATIENCE)
    done(page)
    expect(page.locator("#vt-coherence")).to_be_hidden()
    expect(page.locator(".vt-video-view-caption")).to_contain_text("pizza (you)")
    biggest = page.locator(".vt-frame").evaluate_all(
        "(all) => all.map((f) => eval(f.dataset.grid.replace('x', '*')))"
    )
    assert biggest.index(max(biggest)) == ACTS.index("pizza")


def test_words_are_never_run_as_a_page(page):
    page.locator("#vt-video-things textarea, #vt-video-things input").first.fill(
        "<img src=x onerror='window.broken=1'>, ${window.broken=1}, {{broken}}"
    )
    page.locator("#vt-video-ask").click()
    expect(page.locator(".vt-video-view-caption")).to_contain_text("<img", timeout=PATIENCE)
    assert page.evaluate("window.broken") is None
    page.locator("#vt-video-example").click()
    expect(page.locator(".vt-video-view-caption")).to_contain_text("owl", timeout=PATIENCE)
    done(page)


def test_a_video_is_uploaded_and_a_bad_one_gets_a_sentence(page, tmp_path):
    upload = page.locator("#vt-video-file input[type=file]")
    notes = page.locator("#vt-video-notes")
    (tmp_path / "words.mp4").write_text("no video")
    upload.set_input_files(tmp_path / "words.mp4")
    expect(notes).to_contain_text("not a video", timeout=PATIENCE)
    assert len(grids(page)) == 9, "the film before is still there"
    page.locator("#vt-video-file").get_by_label("Clear").first.click()
    film = written(tmp_path / "holiday in the mountains.mp4")
    page.locator("#vt-video-file input[type=file]").set_input_files(film)
    expect(page.locator(".vt-video-view-caption")).to_contain_text(
        "9 of 30 frames", timeout=PATIENCE
    )
    name = page.locator("#vt-video-file .filename")
    assert "".join(name.inner_text().split()) == "".join(film.name.split())
    assert name.evaluate("(cell) => cell.scrollWidth <= cell.clientWidth"), "all of it is read"
    done(page)
    seconds = page.get_by_label("or at these seconds")
    seconds.fill("0, 1, 2.5")
    page.locator("#vt-video-take").click()
    expect(page.locator(".vt-frame")).to_have_count(3, timeout=PATIENCE)
    seconds.fill("0, 99")
    page.locator("#vt-video-take").click()
    expect(notes).to_contain_text("no second 99", timeout=PATIENCE)


def test_a_gif_on_a_dark_phone(browser, url, tmp_path):
    size = {"width": 390, "height": 844}
    page = visit(browser, url, viewport=size, color_scheme="dark")
    open_tab(page, "Video")
    done(page)
    page.locator("#vt-video-file input[type=file]").set_input_files(gif(tmp_path / "film.gif"))
    expect(page.locator(".vt-video-view-caption")).to_contain_text(
        "9 of 9 frames", timeout=PATIENCE
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    expect(page.locator("#vt-video-view-budget")).to_be_in_viewport()
    assert page.errors == []
    leave(page)


def opened(browser, folder, family, **context) -> Iterator[Page]:
    """The tab "Video" of a page that begins with a tiny random model."""
    vlm = family.build(False)
    vlm.model.save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    with hosted_folder(folder) as url:
        page = visit(browser, url, **context)
        until(page, "state.case.model === model", model=folder.name)
        page.get_by_role("tab", name="Video").click()
        yield page
        assert page.errors == []
        leave(page)


@pytest.fixture
def paired(browser, tmp_path):
    yield from opened(browser, tmp_path / "tiny-pairs", qwen_vl.TestQwen25)


@pytest.fixture
def cutting(browser, tmp_path):
    yield from opened(browser, tmp_path / "tiny-next", llava_next.TestMistral)


def test_frames_of_a_pair_share_grid_and_tokens(paired):
    board = paired.locator(".vt-video-view")
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
    expect(paired.locator(".vt-video-view-notes")).to_contain_text("reads frames in pairs")
    expect(paired.locator(".vt-video-view-notes")).not_to_contain_text("contact sheet")
    expect(paired.locator("#vt-video-view-sheet")).to_be_hidden()


def test_a_model_that_cuts_pictures_up_says_that_it_reads_no_videos(cutting):
    notes = cutting.locator("#vt-video-notes")
    expect(notes).to_contain_text("please choose another model for videos", timeout=PATIENCE)
