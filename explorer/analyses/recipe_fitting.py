"""Fit a recipe: how many visual tokens may leave each layer before attention changes too much?

FitPrune's fit (Ye et al., arXiv 2409.10197): delete, layer by layer, what is lowest in both of two
attentions, as long as their sums stay above a share of those of the untouched run. Knows prompts
and layers; not where prompts come from.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor

from explorer.inference.layer_signals import SignalRecorder
from explorer.inference.llm_layers import ForwardState, record_qk, run_layer
from explorer.inference.sequence import Prompt, Sequence
from explorer.methods.signals import Kept, Stage
from explorer.metrics.cost import Shape, layer_flops
from explorer.vlm.components import Decoder

NEEDS = frozenset({"tail_attention", "visual_received"})
Visit = Callable[[int, Tensor, Tensor], Tensor | None]
PRECISION = 0.01  # of alpha, when the search for it stops


@dataclass(frozen=True)
class AttentionMass:
    """What one sample's visual tokens get in each layer of the untouched run, [L] each.

    cross: from the words behind them, mean over words; own: from each other, mean over tokens.
    """

    cross: Tensor
    own: Tensor


@torch.no_grad()
def attention_mass(decoder: Decoder, prompt: Prompt) -> AttentionMass:
    """Sum up both attentions in every layer, with no token deleted."""
    sums: list[Tensor] = []

    def look(layer: int, cross: Tensor, own: Tensor) -> None:
        sums.append(torch.stack([cross.sum(), own.sum()]))

    _run(decoder, prompt, look)
    return AttentionMass(*torch.stack(sums).T)


@torch.no_grad()
def deleted_per_layer(
    decoder: Decoder, prompt: Prompt, mass: AttentionMass, alpha: float
) -> list[int]:
    """Count the tokens that one sample loses in each layer, [L]; a larger alpha deletes more.

    A layer deletes the lowest of both kinds alike, as far as either sum stays above its share
    1 - alpha of the untouched one; the next one sees what is left.
    """
    counts: list[int] = []

    def low_in_both(layer: int, cross: Tensor, own: Tensor) -> Tensor:
        goals = mass.cross[layer] * (1 - alpha), mass.own[layer] * (1 - alpha)
        low = lowest(cross, goals[0]) & lowest(own, goals[1])
        counts.append(int(low.sum()))
        return low

    _run(decoder, prompt, low_in_both)
    return counts


def lowest(values: Tensor, goal: Tensor | float) -> Tensor:
    """Mark the lowest values [n] that can go while the sum stays at the goal or above it.

    One more would bring it below. Among equals those with the highest index go first.
    """
    order = values.flip(0).argsort(stable=True)
    order = len(values) - 1 - order
    left = values.sum() - values[order].cumsum(0)
    marked = torch.zeros(len(values), dtype=torch.bool, device=values.device)
    marked[order[: int((left >= goal).sum())]] = True
    return marked


def flops_left(shape: Shape, tokens: int, deleted: Many[int]) -> float:
    """Give the share of the FLOPs over visual tokens that deletions [L] leave; words don't count.

    A layer's attention reads all that enter it; its FFN those that it doesn't delete.
    """
    attention = replace(shape, ffn=0)

    def spent(before: int, after: int) -> int:
        ffn = layer_flops(shape, after) - layer_flops(attention, after)
        return layer_flops(attention, before) + ffn

    alive = [tokens - gone for gone in accumulate(deleted, initial=0)]
    return sum(map(spent, alive[:-1], alive[1:])) / (len(deleted) * spent(tokens, tokens))


def until(shape: Shape, tokens: int, deleted: Many[int], goal: float) -> list[int]:
    """Stop deleting as soon as the layers so far come below the goal, a share of the FLOPs."""
    for layer in range(len(deleted) + 1):
        stopped = [*deleted[:layer], *[0] * (len(deleted) - layer)]
        if flops_left(shape, tokens, stopped) <= goal:
            return stopped
    return list(deleted)


def fit(decoder: Decoder, prompts: Many[Prompt], shape: Shape, goal: float) -> list[int]:
    """Find the recipe, tokens deleted per layer [L], that leaves a share `goal` of the FLOPs.

    Halves the span of alpha until it is narrow; the numbers are means over samples, rounded down.
    The recipe is the last one tried, as in the official code: it may be a little off the goal.
    """
    masses = [attention_mass(decoder, prompt) for prompt in prompts]
    tokens, low, high, recipe = len(prompts[0].visual_positions), 0.0, 1.0, []
    while high - low > PRECISION:
        alpha = (low + high) / 2
        counts = [
            deleted_per_layer(decoder, prompt, mass, alpha)
            for prompt, mass in zip(prompts, masses, strict=True)
        ]
        means = [sum(layer) // len(layer) for layer in zip(*counts, strict=True)]
        recipe = until(shape, tokens, means, goal)
        reached = flops_left(shape, tokens, recipe) <= goal
        low, high = (low, alpha) if reached else (alpha, high)
    return recipe


def _run(decoder: Decoder, prompt: Prompt, visit: Visit) -> None:
    """Run the layers; `visit` sees both attentions of each and may mark who is deleted then."""
    body, recorder = decoder.body, SignalRecorder(NEEDS, prompt)
    state = ForwardState(Sequence(prompt), recorder)
    for number, layer in enumerate(body.layers):
        run_layer(layer, [state], body, record_qk)
        signals = recorder.signals(state.sequence, body, number + 1)
        cross, own = signals.tail_attention.amax(0).mean(0), signals.visual_received / signals.count
        low = visit(number, cross, own)
        if low is not None and low.any():
            index = (~low).nonzero()[:, 0]
            state.sequence.drop(Kept(index), Stage(number + 1, len(index)), renumber=False)
