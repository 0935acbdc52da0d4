"""VPT: regions that a model names, and a second look that its hidden state steers."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import layer_norm, linear

from explorer.media import region
from parity.reading import Golden, assert_close


def run_vpt(golden: Golden) -> None:
    """Two kinds of recordings share the prefix."""
    (_named if "text" in golden else _steered)(golden)


def _named(golden: Golden) -> None:
    assert int(golden["num_cut"]) == region.CUTS
    resolution = int(golden["image_resolution"])
    for i, text in enumerate(golden["text"]):
        cells = region.region_phrase(text)
        assert (cells is not None) == bool(golden["found"][i])
        if cells is None:
            continue
        assert [cells.x0, cells.y0, cells.x1, cells.y1] == golden["region_cells"][i].tolist()
        box = cells.dilated().box(*golden["image_wh"][i].tolist())
        assert list(box) == golden["bbox_xyxy"][i].tolist()
        left, top, right, bottom = box
        size = region.seen_size(right - left, bottom - top, resolution)
        assert list(size) == golden["resized_wh"][i].tolist()


def _steered(golden: Golden) -> None:
    def mapped(name: str, x: Tensor) -> Tensor:
        """W LN(x) + b, with the recorded weights."""
        scale, shift = (golden[f"layernorm_{name}_{part}"] for part in ("weight", "bias"))
        weight, bias = (golden[f"linear_{name}_{part}"] for part in ("weight", "bias"))
        return linear(layer_norm(x, scale.shape, scale, shift), weight, bias)

    features = mapped("feature", golden["hidden_states"][0])
    condition = mapped("condition", golden["conditions"][0])
    assert_close(features, golden["out_no_condition"])
    assert_close(features @ condition, golden["attention"][0])
    assert_close(steered(features, condition), golden["out"])


def steered(features: Tensor, condition: Tensor) -> Tensor:
    """Steer a second look by the state that asked for it: h_i + <h_i, c> c, [n, D].

    features [n, D], condition [D], both mapped into one space by trained weights. No softmax and no
    scaling (MinimalProjector in modeling_qwen2_vl_vpt.py). For models that bring such weights.
    """
    return features + (features @ condition)[:, None] * condition


RUNNERS = {"vpt": run_vpt}
