"""Tokens leave a picture at the layers at which they leave the model, in a GIF and in an MP4."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from explorer.analyses.sharing import animation
from explorer.cases.records import Answer, StageMap
from explorer.media.grid import Grid, View

ROWS = COLUMNS = 4
N, L = ROWS * COLUMNS, 6


@pytest.fixture(scope="module")
def grid() -> Grid:
    place = np.stack([np.zeros(N), *np.indices((ROWS, COLUMNS)).reshape(2, -1)], axis=1)
    corner = place[:, [2, 1]] * 8.0
    boxes = np.concatenate([corner, corner + 8.0], axis=1).astype(np.float32)
    view = View("picture", ROWS, COLUMNS, (0, 0, 32, 32))
    return Grid(32, 32, (view,), place.astype(np.int16), boxes, np.arange(N)[:, None])


@pytest.fixture(scope="module")
def answer() -> Answer:
    """Half of the tokens leave before layer 2, half of the others before layer 4."""
    first, second = np.full(N, -1), np.full(N, -1)
    first[: N // 2] = 0
    second[: N // 4] = 0
    stages = (StageMap(2, first, 0), StageMap(4, second, 0))
    return Answer("made up", 8, "yes", (), layers=(16, 16, 8, 8, 4, 4), stages=stages)


def test_every_layer_shows_the_tokens_that_enter_it(answer):
    told = {moment.words: moment for moment in animation.moments(answer, N)}
    assert len(told) == 1 + L
    for layer, alive in enumerate(answer.layers, start=1):
        moment = told[f"Layer {layer} of {L}: {alive} of {N} visual tokens"]
        assert (moment.dropped == 0).sum() == alive
    between = [m for m in animation.moments(answer, N) if ((m.dropped > 0) & (m.dropped < 1)).any()]
    assert len(between) == 2 * animation.FADES


def test_dropped_patches_are_dark_and_kept_ones_untouched(answer, grid):
    image = Image.new("RGB", (32, 32), (200, 60, 40))
    *_, (last, _) = animation.frames(answer, grid, image)
    pixels = np.asarray(last)[: animation.SIDE].astype(int)
    kept, gone = pixels[: animation.SIDE // 4], pixels[-animation.SIDE // 4 :]
    assert np.abs(kept - (200, 60, 40)).max() <= 1
    assert gone.mean() < 0.5 * kept.mean()


def test_a_gif_and_an_mp4_can_be_played(answer, grid, tmp_path):
    image = Image.new("RGB", (48, 32), (200, 60, 40))
    count = len(list(animation.moments(answer, N)))
    gif = Image.open(io.BytesIO(animation.animate(answer, grid, image, "gif")))
    assert gif.n_frames == count and gif.info["loop"] == 0
    path = tmp_path / "tokens.mp4"
    path.write_bytes(animation.animate(answer, grid, image, "mp4"))
    film = cv2.VideoCapture(str(path))
    seconds = film.get(cv2.CAP_PROP_FRAME_COUNT) / film.get(cv2.CAP_PROP_FPS)
    wanted = sum(moment.seconds for moment in animation.moments(answer, N))
    assert film.read()[0] and abs(seconds - wanted) < 0.1 * wanted
