"""Find out who stays at which stage, without answering: for maps, which need many such runs.

A `Trunk` walks the untouched prompt through the first layers once; every scout starts from where
its first stage is. Knows stages and layers; not methods, pictures or words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import TypeVar

import torch

from explorer.engine import Outcome, Plan, Prompt, prune
from explorer.families.parts import Decoder
from explorer.inner import OF_LAST_LAYER, Walk, Watch, overhear, through
from explorer.sequence import Sequence

Item = TypeVar("Item")

AT_ONCE = 1000  # tokens that pass a layer as one row; more don't make it faster


class Trunk:
    """The untouched prompt on its way through the layers, as far as anybody asked.

    needs: what is noted on the way, for all scouts alike.
    """

    def __init__(self, decoder: Decoder, prompt: Prompt, needs: frozenset[str]):
        self.decoder = decoder
        self._hear = overhear if needs & OF_LAST_LAYER else None
        self._stations = [Walk(Sequence(prompt), Watch(needs, prompt))]

    def at(self, layer: int) -> Walk:
        """Give the walk as it is before a layer; it is the caller's own."""
        while len(self._stations) <= layer:
            walk = _copy(self._stations[-1])
            self.go([walk], len(self._stations) - 1)
            self._stations.append(walk)
        return _copy(self._stations[layer])

    def go(self, walks: list[Walk], layer: int) -> None:
        """Let walks pass one layer; no cache, and no listening where nobody needs it."""
        for pack in packs(walks, lambda walk: walk.length):
            through(self.decoder.body.layers[layer], pack, self.decoder.body, self._hear)


def _copy(walk: Walk) -> Walk:
    watch = copy(walk.watch)
    watch.transitions = list(watch.transitions)
    return Walk(copy(walk.sequence), watch)  # both replace their tensors, never write into them


def packs(
    items: Iterable[Item], length: Callable[[Item], int], most: int = AT_ONCE
) -> Iterator[list[Item]]:
    """Cut items, in their order, into those that pass the layers as one row of tokens."""
    pack, held = [], 0
    for item in items:
        if pack and held + length(item) > most:
            yield pack
            pack, held = [], 0
        pack.append(item)
        held += length(item)
    if pack:
        yield pack


@torch.no_grad()
def scout(trunk: Trunk, plans: list[Plan]) -> list[list[Outcome]]:
    """Follow the stages of plans and tell their outcomes; layers behind the last don't run."""
    stages = [{stage.layer: stage for stage in plan.stages} for plan in plans]
    first, last = min(map(min, stages)), max(map(max, stages))
    walks: dict[int, Walk] = {}
    outcomes: list[list[Outcome]] = [[] for _ in plans]
    for layer in range(first, last + 1):
        for number, (plan, at) in enumerate(zip(plans, stages, strict=True)):
            if layer == min(at):
                walks[number] = trunk.at(layer)
            if layer in at:
                outcome, _ = prune(trunk.decoder, walks[number], plan, at[layer])
                outcomes[number].append(outcome)
            if layer == max(at):
                del walks[number]
        trunk.go(list(walks.values()), layer)
    return outcomes
