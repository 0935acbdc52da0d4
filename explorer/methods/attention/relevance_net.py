"""The small network that predicts relevance from attention; each model has its own.

Five depthwise-separable convolutions along the visual tokens, in reading order, and a softmax over
them, as arXiv 2506.01097 describes it. Kernel, activation and padding are not known and are ours. A
kernel of 15 lets a token see a few rows of patches; with 3 pico's network sees less than one row
and guesses much worse. Knows nothing of models, pictures or methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from explorer import ROOT

ASSETS = ROOT / "assets"
WIDTHS = (32, 64, 128, 256, 512)  # the paper's; pico's network is a quarter as wide
KERNEL = 15


def file_of(model: str) -> Path:
    """Name the weights that belong to a model of models.yaml."""
    return ASSETS / model / "relevance_map.safetensors"


class RelevanceNet(nn.Module):
    """Attention of the question [N] to shares of relevance [N], for any N."""

    def __init__(self, widths: Sequence[int] = WIDTHS, kernel: int = KERNEL):
        super().__init__()
        layers, before = [], 1
        for width in widths:
            layers += [
                nn.Conv1d(before, before, kernel, padding="same", groups=before),
                nn.Conv1d(before, width, 1),
                nn.ReLU(),
            ]
            before = width
        self.layers = nn.Sequential(*layers, nn.Conv1d(before, 1, 1))

    def logits(self, attention: Tensor) -> Tensor:
        """Give what the softmax over the tokens takes: [B, N] -> [B, N].

        The attention is told in multiples of its mean, so that its size does not hang on N.
        """
        mean = attention.mean(-1, keepdim=True).clamp(min=1e-12)
        return self.layers((attention / mean)[:, None])[:, 0]

    def forward(self, attention: Tensor) -> Tensor:
        """Give the predicted relevance of one picture, [N] -> [N], with sum 1."""
        return self.logits(attention[None])[0].softmax(-1)


def save(net: RelevanceNet, file: Path, about: dict[str, str]) -> None:
    """Write the weights in half precision, with a few words about their training."""
    file.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.half().contiguous() for name, weight in net.state_dict().items()}
    save_file(weights, file, metadata=about)


@lru_cache(maxsize=4)
def load(file: Path, device: torch.device | str = "cpu") -> RelevanceNet | None:
    """Read the weights in single precision, once; None if there is no such file."""
    if not file.is_file():
        return None
    weights = {name: weight.float() for name, weight in load_file(file).items()}
    net = RelevanceNet(*_shape(weights))
    net.load_state_dict(weights)
    return net.requires_grad_(False).eval().to(device)


def _shape(weights: dict[str, Tensor]) -> tuple[list[int], int]:
    """Read widths and kernel off the weights: layers are depthwise, pointwise, ReLU in turn."""
    pointwise = [weights[f"layers.{i}.weight"] for i in range(1, len(weights) // 4 * 3, 3)]
    return [len(weight) for weight in pointwise], weights["layers.0.weight"].shape[-1]
