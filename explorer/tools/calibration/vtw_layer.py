"""Search VTW's layer K on a few scenes: `python -m explorer vtw-layer --model pico`.

The authors' search (arXiv 2405.05803): the smallest K from 5 on at which taking all visual tokens
away changes the first answer token by eta nats at most, in the mean over about 20 samples.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import Tensor

from explorer.analyses.inside.withdrawal import (
    FIRST_LAYER,
    first_layer_within,
    withdrawal_divergence,
)
from explorer.cases.case import open_case
from explorer.tools.calibration.samples import sample_requests
from explorer.vlm.catalog import CUSTOM_HELP, DEFAULT
from explorer.vlm.components import Vlm
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import cpu_threads

SAMPLES = 20  # of the authors' README
ETA = 0.003  # theirs for LLaVA-1.5-7B and by default; 0.0005 for 13B, 0.0001 for LLaVA-NeXT-7B


def curve(vlm: Vlm, samples: int, first_layer: int = FIRST_LAYER) -> tuple[Tensor, int]:
    """Give the mean divergence D(K) for K from first_layer on, and N, the visual tokens."""
    found, tokens = [], 0
    with cpu_threads(vlm.run_threads):
        for request in sample_requests(vlm, samples):
            case = open_case(request)
            found.append(withdrawal_divergence(case.decoder, case.prompt(), first_layer))
            tokens = case.size.tokens
    return torch.stack(found).mean(0), tokens


def table(divergence: Tensor, tokens: int, eta: float, first_layer: int = FIRST_LAYER) -> str:
    """Write D(K) as Markdown, and which K is the first within eta."""
    layers = first_layer + len(divergence)
    lines = ["| K | mean tokens | D(K) in nats |", "| --- | --- | --- |"]
    lines += [
        f"| {layer} | {tokens * layer / layers:.0f} | {value:.4g} |"
        for layer, value in enumerate(divergence.tolist(), first_layer)
    ]
    found = first_layer_within(divergence, eta, first_layer)
    if found == layers:
        lines.append(f"No K is within {eta} nats: every layer needs the picture.")
    else:
        budget = math.ceil(tokens * found / layers)
        lines.append(f"K = {found} of {layers} for eta = {eta}: vtw at a budget of {budget}.")
    return "\n".join(lines)


def main() -> None:
    """Search the layer from which on a model's answers no longer need the picture."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", default=DEFAULT, help=CUSTOM_HELP)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="scenes with a question each")
    parser.add_argument("--eta", type=float, default=ETA, help="nats that may be lost")
    parser.add_argument("--first-layer", type=int, default=FIRST_LAYER, help="the smallest K")
    chosen = parser.parse_args()
    vlm = default_loader().load(default_loader().catalog.register(chosen.model))
    divergence, tokens = curve(vlm, chosen.samples, chosen.first_layer)
    print(table(divergence, tokens, chosen.eta, chosen.first_layer))
