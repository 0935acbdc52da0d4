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
        masses = text_dominance.masses(rows, image, text)
        found = text_dominance.measure(
            *masses, int(text.sum()), [int(image.sum())] * layers, answer
        )
        ours = torch.from_numpy(np.stack([found.mdi, found.aei, found.attention_text], 1))
        assert_close(ours, golden[f"per_layer{suffix}"][:, [0, 1, 3]])
        stages = torch.tensor([found.stages[name] for name in ("early", "middle", "late")])
        assert_close(stages, golden[f"stage{suffix}"][:, :2])


RUNNERS = {"mdi": run_mdi}
