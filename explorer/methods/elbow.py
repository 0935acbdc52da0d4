"""The elbow of a curve of scores: how many tokens CoreMatching's code keeps by itself.

Official code: wangqinsi1/2025-ICML-CoreMatching @046b24e, transformers/models/llama/
modeling_llama.py (LlamaMLP.forward). Does not know what the scores mean.
"""

from __future__ import annotations

import torch
from torch import Tensor


def elbow(scores: Tensor) -> int:
    """Count the tokens above the elbow of the falling scores [N].

    The elbow is the point of the curve that is farthest from the chord between its ends, on either
    side; if all scores are equal, none is above it.
    """
    curve = scores.double().sort(descending=True).values
    place = torch.arange(len(curve), device=curve.device)
    height = (curve - curve[0]) * (len(curve) - 1) - (curve[-1] - curve[0]) * place
    return int((curve > curve[height.abs().argmax()]).sum())
