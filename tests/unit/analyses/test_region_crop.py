"""A second look at a region: cells and boxes, and the four runs on pico and on a toy prompt."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explorer import analyses
from explorer.analyses.region_crop import MODES, answer_with_crop, cut_out, joined
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.errors import BadRegion, VisitorError
from explorer.inference.prefill import KEEP_ALL, prefill
from explorer.media import region
from explorer.media.region import Cells
from explorer.pico.data import scenes

QUESTION = "what is in the middle ?"


@pytest.fixture(scope="module")
def cache() -> ResultCache:
    return ResultCache(64_000_000)


@pytest.fixture(scope="module")
def image():
    return scenes.make(5).image


def test_a_region_is_named_by_any_order_of_its_tokens():
    text = "see <|region_token_start|><|y_6|><|x_5|><|x_1|><|y_2|><|region_token_end|> there"
    assert region.region_phrase(text) == Cells(1, 2, 5, 6)
    for other in ("nothing", "<|region_token_start|><|x_1|><|x_2|><|region_token_end|>"):
        assert region.region_phrase(other) is None


def test_a_region_grows_by_one_cell_up_to_the_edge():
    assert Cells(3, 0, 4, 7).dilated() == Cells(2, 0, 5, 7)
    assert Cells(0, 0, 7, 7).box(333, 10) == (0, 0, 333, 10)
    assert Cells(1, 2, 1, 2).box(80, 16) == (10, 4, 20, 6)


@pytest.mark.parametrize("corners", [(-1, 0, 1, 1), (0, 0, 8, 1), (3, 0, 2, 1), (0, 5, 0, 4)])
def test_cells_off_the_grid_get_a_sentence(corners):
    with pytest.raises(BadRegion, match="8 x 8"):
        Cells(*corners)


def test_a_crop_is_neither_too_large_nor_too_thin():
    assert region.seen_size(1024, 512) == (512, 256)
    assert region.seen_size(20, 300) == (28, 300)


def test_the_cells_around_the_best_patches():
    boxes = np.array([[x, y, x + 10, y + 10] for y in range(0, 80, 10) for x in range(0, 80, 10)])
    scores = np.zeros(64)
    scores[[9, 18]] = 5, 3  # column 1, row 1 and column 2, row 2
    assert region.covering(boxes, scores, 2 / 64, (80, 80)) == Cells(1, 1, 2, 2)
    assert region.covering(boxes, scores, 0, (80, 80)) == Cells(1, 1, 1, 1)


def test_a_small_crop_is_enlarged(image):
    picture = open_case(CaseRequest.make("pico", image, QUESTION)).picture
    width, height = picture.image.size
    crop = cut_out(picture, Cells(0, 0, 0, 7))
    assert crop.size == (max(28, width // 8), height)


def test_four_runs_at_the_sizes_they_promise(image, cache):
    looks = list(
        answer_with_crop(
            CaseRequest.make("pico", image, QUESTION), Cells(2, 2, 5, 5), "divprune", cache=cache
        )
    )
    assert [look.mode for look in looks] == list(MODES)
    assert [look.tokens for look in looks] == [(196, 0), (196, 196), (0, 196), (98, 98)]
    assert all(look.error is None and look.text for look in looks)
    assert (
        looks[0].agrees
        and looks[0].text
        == analyses.answer(CaseRequest.make("pico", image, QUESTION), "full", 1).text
    )
    full = analyses.answer(CaseRequest.make("pico", image, QUESTION), "full", 1, cache=cache)
    assert looks[0].likelihood == pytest.approx(full.p_full, rel=1e-4)


def test_the_crop_alone_is_the_crop_as_a_picture_of_its_own(image, cache):
    cells = Cells(4, 1, 7, 4)
    picture = open_case(CaseRequest.make("pico", image, QUESTION)).picture
    *_, crop, _ = answer_with_crop(CaseRequest.make("pico", image, QUESTION), cells, cache=cache)
    assert (
        crop.text
        == analyses.answer(
            CaseRequest.make("pico", cut_out(picture, cells), QUESTION), "full", 1
        ).text
    )


def test_a_joined_prompt_does_not_change_what_stands_before(image, cache):
    """The first prompt's caches are the same, with or without the second behind it."""
    case = open_case(CaseRequest.make("pico", image, QUESTION), cache)
    first = case.prompt()
    alone = prefill(case.decoder, first, KEEP_ALL)
    both = prefill(case.decoder, joined(first, first), KEEP_ALL)
    length = first.inputs_embeds.shape[1]
    assert both.next_position == [2 * length] * len(both.next_position)
    for ours, theirs in zip(both.cache.layers, alone.cache.layers, strict=True):
        torch.testing.assert_close(ours.keys[:, :, :length], theirs.keys, atol=1e-4, rtol=1e-4)


def test_a_method_inside_the_model_gets_a_sentence_and_the_others_their_answers(image, cache):
    *others, equal = answer_with_crop(
        CaseRequest.make("pico", image, QUESTION), Cells(0, 0, 3, 3), "fastv", cache=cache
    )
    assert len(others) == 3 and all(look.text for look in others)
    assert "inside the language model" in equal.error


def test_an_unknown_method_gets_a_sentence(image, cache):
    *_, equal = answer_with_crop(
        CaseRequest.make("pico", image, QUESTION), Cells(0, 0, 3, 3), "nonsense", cache=cache
    )
    assert "nonsense" in equal.error
    with pytest.raises(VisitorError):
        list(answer_with_crop(CaseRequest.make("pico", image, ""), Cells(0, 0, 3, 3)))
