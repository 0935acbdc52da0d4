"""Where the prompt's last token looks, layer by layer: at the first token, and at the picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from explorer.metrics.phenomena import Finding
from explorer.tools.phenomena.observation import Observation

SPECS: list[tuple[str, int]] = []  # all tokens are there


def findings(observations: Sequence[Observation]) -> list[Finding]:
    """Tell the shares of attention behind the first two layers, and how the picture's falls."""
    first = torch.stack([each.to_first for each in observations]).mean(0)
    picture = torch.stack([each.to_picture for each in observations]).mean(0)
    early, late = float(picture[:2].mean()), float(picture[2:].mean())
    return [
        Finding(
            "Behind the first two layers the first token is a sink",
            "most of the attention goes to it (StreamingLLM, arXiv 2309.17453)",
            f"by layer: {_row(first)}",
            float(first[2:].mean()) >= 0.5,
        ),
        Finding(
            "Attention to the picture falls steeply after two layers",
            "a small part of that of the first layers (FastV)",
            f"by layer: {_row(picture)}; first two {early:.2f}, the others {late:.2f}",
            late <= 0.5 * early,
        ),
    ]


def _row(values: Tensor) -> str:
    return " ".join(f"{value:.2f}" for value in values.tolist())
