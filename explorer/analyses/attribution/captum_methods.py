"""Reference importance of visual tokens, by captum: what happens to an answer without them.

Signed: above zero a token speaks for the answer, below zero against it. Kokhlikyan et al.,
"Captum", arXiv 2009.07896, version 0.9: FeatureAblation, IntegratedGradients, ShapleyValueSampling,
Occlusion. Knows functions of visual tokens (f, one number per row), not models: see ablation.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]
ReportProgress = Callable[[int, int], None]
"""Called with evaluations done and evaluations in all; may raise to stop the work."""


def captum() -> ModuleType:
    """Give captum's attributions, imported with the first question: they bring matplotlib along,
    which would hold up the start of every page that nobody asks why.
    """
    return importlib.import_module("captum.attr")


def silent(done: int, total: int) -> None:
    """Report nothing."""


def counter(total: int, progress: ReportProgress) -> Callable[[int], None]:
    """Give what is called with every few rows that have been evaluated, and reports how many."""
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        progress(min(done, total), total)

    return count


def counted(f: Score, total: int, progress: ReportProgress) -> Score:
    """Report after every call how many rows have been evaluated."""
    count = counter(total, progress)

    def call(rows: Tensor) -> Tensor:
        scores = f(rows)
        count(len(rows))
        return scores

    return call


def leave_one_out(
    f: Score, n: int, per_call: int = 16, progress: ReportProgress = silent
) -> Tensor:
    """Leave one out: f(all) - f(all but i), [N]. f maps presence [B, N] to [B]; N + 1 rows."""
    present = torch.ones(1, n, dtype=torch.float32)
    ablation = captum().FeatureAblation(counted(f, n + 1, progress))
    return ablation.attribute(present, baselines=0, perturbations_per_eval=per_call)[0]


def add_one_in(
    f: Score, present: Tensor, back: Tensor, per_call: int = 16, progress: ReportProgress = silent
) -> Tensor:
    """Let one absent token come back: f(present and i) - f(present), [C]; C + 1 rows.

    present [N] of zeros and ones; back [C]: the absent tokens that are tried.
    """

    def with_those(rows: Tensor) -> Tensor:
        whole = present.expand(len(rows), -1).clone()
        whole[:, back] = rows
        return f(whole)

    attributions = (
        captum()
        .FeatureAblation(counted(with_those, len(back) + 1, progress))
        .attribute(
            torch.zeros(1, len(back), dtype=torch.float32),
            baselines=1,
            perturbations_per_eval=per_call,
        )
    )
    return -attributions[0]


def ablation(f: Score, tokens: Tensor, baseline: str, per_call: int = 16) -> Tensor:
    """Replace one token by the baseline: f(all) - f(i replaced), [N]. tokens [1, N, D]."""
    each = torch.arange(tokens.shape[1])[None, :, None]
    attributions = (
        captum()
        .FeatureAblation(f)
        .attribute(
            tokens,
            baselines=baseline_tokens(tokens, baseline),
            feature_mask=each,
            perturbations_per_eval=per_call,
        )
    )
    return attributions[0, :, 0]  # the same value stands in all D places


def integrated(
    f: Score, tokens: Tensor, baseline: str, steps: int = 50, per_call: int = 10
) -> tuple[Tensor, float]:
    """Integrated gradients from the baseline to the tokens: ([N], convergence delta).

    The delta is how far the sum misses f(tokens) - f(baseline); under a hundredth of that it is
    good, else more steps are needed.
    """
    attributions, delta = (
        captum()
        .IntegratedGradients(f)
        .attribute(
            tokens,
            baselines=baseline_tokens(tokens, baseline),
            n_steps=steps,
            internal_batch_size=per_call,
            return_convergence_delta=True,
        )
    )
    return attributions.sum(-1)[0].detach(), float(delta)


def shapley(
    f: Score,
    inputs: Tensor,
    baseline: Tensor | float,
    groups: Tensor,
    samples: int = 5,
    seed: int = 0,
    per_call: int = 16,
    progress: ReportProgress = silent,
) -> Tensor:
    """Shapley values of groups of tokens, sampled; the sum over groups is f(all) - f(none).

    inputs: tokens [1, N, D], or presence [1, N]; groups [N] from 0 to G - 1. Gives [G]. Seeded by
    torch's generator, which captum draws from.
    """
    count = int(groups.max()) + 1
    shape = (1, -1) + (1,) * (inputs.dim() - 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        attributions = (
            captum()
            .ShapleyValueSampling(counted(f, samples * count + 1, progress))
            .attribute(
                inputs,
                baselines=baseline,
                feature_mask=groups.view(shape),
                n_samples=samples,
                perturbations_per_eval=per_call,
            )[0]
        )
    first = torch.tensor([int((groups == group).nonzero()[0, 0]) for group in range(count)])
    return (attributions if inputs.dim() == 2 else attributions[:, 0])[first]


def occlusion(
    f: Score, pixels: Tensor, window: int, stride: int, baseline: Tensor | float = 0.0
) -> Tensor:
    """Cover a square window of the pixels, [side, side]; a pixel's value is its windows' mean.

    pixels [1, C, side, side]; f maps pixels to [B].
    """
    channels = pixels.shape[1]
    attributions = (
        captum()
        .Occlusion(f)
        .attribute(
            pixels,
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=baseline,
        )
    )
    return attributions[0, 0]


def baseline_tokens(tokens: Tensor, baseline: str) -> Tensor | float:
    """Give what stands for an absent token: the "mean" of all of them, or "zero"."""
    if baseline == "zero":
        return 0.0
    return tokens.mean(1, keepdim=True).expand_as(tokens)
