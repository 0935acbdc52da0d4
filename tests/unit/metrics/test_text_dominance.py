"""MDI and AEI: their identity, their special cases, and the re-implementation's numbers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from parity.metrics import masses

from explorer import ROOT
from explorer.metrics import text_dominance

OURS = ROOT / "tests" / "goldens"
FOLDER = Path(os.environ.get("GOLDENS") or OURS)
GOLDENS = sorted(FOLDER.glob("mdi_aei_*.npz"))

pytestmark = pytest.mark.filterwarnings("error")


def test_balance_is_one():
    """30 text and 90 image tokens, the same attention to each."""
    found = text_dominance.measure(np.full(6, 0.2), np.full(6, 0.6), 30, [90] * 6, answer=3)
    np.testing.assert_allclose(found.mdi, 1)
    np.testing.assert_allclose(found.aei, 1)
    np.testing.assert_allclose(found.attention_text, 0.25)
    assert (found.text, found.image.tolist(), found.answer) == (30, [90] * 6, 3)


def test_text_that_gets_all_it_can_of_four_times_as_many_image_tokens():
    found = text_dominance.measure([0.8], [0.2], 20, [80], answer=1)
    assert found.mdi[0] == pytest.approx(16)
    assert found.aei[0] == pytest.approx(4)


def test_aei_follows_from_mdi_and_the_share_of_text():
    """AEI = MDI / (MDI Q_T + 1 - Q_T), also where image tokens leave on the way."""
    generator = np.random.default_rng(0)
    image = np.repeat([144, 58, 29, 1], 8)
    found = text_dominance.measure(*generator.random((2, 32)), 120, image, answer=4)
    share = 120 / (120 + image)
    np.testing.assert_allclose(found.aei, found.mdi / (found.mdi * share + 1 - share), rtol=1e-12)


def test_text_tokens_may_differ_by_layer():
    found = text_dominance.measure([0.5, 0.5], [0.5, 0.5], [10, 20], [20, 20], answer=1)
    np.testing.assert_allclose(found.mdi, [2, 1])
    assert found.text.tolist() == [10, 20]


def test_the_first_token_counts_as_text_only_where_it_is_asked_for():
    left_out = text_dominance.measure([0.2], [0.2], 4, [8], answer=1)
    counted = text_dominance.measure([0.2], [0.2], 4, [8], answer=1, first_mass=np.array([0.6]))
    assert (left_out.text, counted.text) == (4, 5)
    assert left_out.mdi[0] == pytest.approx(2)  # .05 and .025 per token
    assert counted.mdi[0] == pytest.approx((0.8 / 5) / (0.2 / 8))


def test_only_the_ratio_of_the_masses_counts():
    once = text_dominance.measure([0.3, 0.1], [0.6, 0.2], 5, [9, 9], answer=1)
    seven = text_dominance.measure([2.1, 0.7], [4.2, 1.4], 5, [9, 9], answer=7)
    np.testing.assert_allclose(once.mdi, seven.mdi)
    np.testing.assert_allclose(once.aei, seven.aei)


def test_float32_masses_are_measured_in_float64():
    masses = np.ones((2, 4), dtype=np.float32)
    found = text_dominance.measure(masses[0], masses[1], 7, [7] * 4, answer=1)
    assert {found.mdi.dtype, found.aei.dtype, found.attention_text.dtype} == {np.dtype("float64")}


# ---- special cases ------------------------------------------------------------------------------


def test_without_image_tokens_nothing_is_defined():
    """The last two layers of six have lost the picture, so the late stage is undefined as well."""
    found = text_dominance.measure([1.0] * 6, [1.0] * 4 + [0.0] * 2, 5, [5] * 4 + [0] * 2, answer=1)
    assert np.isnan(found.mdi[4:]).all() and np.isnan(found.aei[4:]).all()
    assert found.stages["middle"] == (1, 1)
    assert np.isnan(found.stages["late"]).all()


def test_without_attention_to_the_image_mdi_is_infinite_and_aei_at_its_largest():
    found = text_dominance.measure([1.0] * 2, [0.0, 1.0], 5, [15, 15], answer=1)
    assert (found.mdi[0], found.aei[0]) == (np.inf, 4)
    assert found.stages["early"][0] == np.inf


def test_without_attention_to_text_both_are_zero():
    found = text_dominance.measure([0.0], [1.0], 5, [15], answer=1)
    assert (found.mdi[0], found.aei[0], found.attention_text[0]) == (0, 0, 0)


@pytest.mark.parametrize(("text_mass", "text_tokens"), [(0.0, 5), (0.0, 0)])
def test_without_any_attention_or_text_nothing_is_defined(text_mass: float, text_tokens: int):
    image_mass = 0.0 if text_tokens else 1.0
    found = text_dominance.measure([text_mass], [image_mass], text_tokens, [15], answer=1)
    assert np.isnan(found.mdi[0]) and np.isnan(found.aei[0])


def test_one_number_per_layer():
    with pytest.raises(ValueError, match="layers"):
        text_dominance.measure([0.5, 0.5], [0.5, 0.5], 10, [20], answer=1)


# ---- stages and masses --------------------------------------------------------------------------


def test_stages_of_a_7b_model():
    assert text_dominance.stage_layers(32) == {
        "early": [0, 1],
        "middle": [15, 16],
        "late": [30, 31],
    }


@pytest.mark.parametrize(
    ("layers", "middle", "late"), [(1, [0], [0]), (2, [0, 1], [0, 1]), (3, [0, 1], [1, 2])]
)
def test_stages_of_a_small_model_share_layers(layers: int, middle: list[int], late: list[int]):
    stages = text_dominance.stage_layers(layers)
    assert stages == {"early": [0, 1][:layers], "middle": middle, "late": late}


def test_a_stage_is_the_mean_of_ratios():
    found = text_dominance.measure([0.5, 0.75] * 3, [0.5, 0.25] * 3, 10, [10] * 6, answer=1)
    assert found.stages["early"] == pytest.approx(((1 + 3) / 2, (1 + 1.5) / 2))


def test_masses_are_means_over_heads_and_sums_over_the_rest():
    """One layer, two answer tokens, two heads, four positions: BOS, image, image, text."""
    rows = np.array([[[[4, 1, 0, 2], [4, 3, 0, 2]], [[4, 0, 5, 1], [4, 0, 5, 3]]]])
    image, text = np.array([0, 1, 1, 0], bool), np.array([0, 0, 0, 1], bool)
    text_mass, image_mass = masses(rows, image, text)
    assert (text_mass.tolist(), image_mass.tolist()) == ([2 + 2], [2 + 5])


# ---- goldens ------------------------------------------------------------------------------------


def columns(golden: dict[str, np.ndarray], text_mask: np.ndarray):
    """MDI, AEI of text, AEI of the image, A_T, A_O of every layer, and what was measured."""
    rows, image_mask = golden["attn_rows"], golden["image_mask"]
    text, image = int(text_mask.sum()), int(image_mask.sum())
    text_mass, image_mass = masses(rows, image_mask, text_mask)
    found = text_dominance.measure(text_mass, image_mass, text, [image] * len(rows), rows.shape[1])
    attention_image = 1 - found.attention_text
    aei_image = attention_image * (text + image) / image
    table = [found.mdi, found.aei, aei_image, found.attention_text, attention_image]
    return np.stack(table, 1), found


@pytest.mark.parametrize("suffix", ["", "_nobos"])
@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.name)
def test_the_reimplementations_numbers(path: Path, suffix: str):
    with np.load(path, allow_pickle=False) as file:
        golden = {name: file[name] for name in file.files}
    table, found = columns(golden, golden[f"text_mask{suffix}"])
    np.testing.assert_allclose(table, golden[f"per_layer{suffix}"], rtol=1e-4)
    layers = text_dominance.stage_layers(len(table)).values()
    stages = np.stack([table[picked].mean(0) for picked in layers])
    np.testing.assert_allclose(stages, golden[f"stage{suffix}"], rtol=1e-4)
    ours = np.array([found.stages[name] for name in ("early", "middle", "late")])
    np.testing.assert_allclose(ours, golden[f"stage{suffix}"][:, :2], rtol=1e-4)


def test_there_are_goldens():
    assert list(OURS.glob("mdi_aei_*.npz")), f"no MDI/AEI golden files in {OURS}"
