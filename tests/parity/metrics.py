"""MDI and AEI."""

from __future__ import annotations

import numpy as np
import torch

from explorer.metrics import text_dominance
from parity.reading import Golden, assert_close


def run_mdi(golden: Golden) -> None:
    """Not official: recorded from the re-implementation that `explorer.dominance` names."""
    rows, image = golden["attn_rows"].numpy(), golden["image_mask"].numpy()
    layers, answer = rows.shape[:2]
    # without BOS is what the page shows; with it, the same numbers must follow from its own mask
    for suffix, mask in (("_nobos", "text_mask_nobos"), ("", "text_mask")):
        text = golden[mask].numpy()
        found = text_dominance.measure(
            *masses(rows, image, text), int(text.sum()), [int(image.sum())] * layers, answer
        )
        ours = torch.from_numpy(np.stack([found.mdi, found.aei, found.attention_text], 1))
        assert_close(ours, golden[f"per_layer{suffix}"][:, [0, 1, 3]])
        stages = torch.tensor([found.stages[name] for name in ("early", "middle", "late")])
        assert_close(stages, golden[f"stage{suffix}"][:, :2])


def masses(
    rows: np.ndarray, image_mask: np.ndarray, text_mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Add up the attention that goes to text and to the image: two arrays [L], float64.

    rows [L, G, H, S]: softmaxed attention from the row that produces each answer token to the S
    positions of the prompt; image_mask, text_mask [S] boolean. The mean over heads, then the sum
    over answer tokens and positions, normalised only later: a row that looks much at the answer so
    far weighs less.
    """
    received = np.asarray(rows, dtype=np.float64).mean(2).sum(1)
    return received[:, np.asarray(text_mask, bool)].sum(1), received[:, image_mask].sum(1)


RUNNERS = {"mdi": run_mdi}
