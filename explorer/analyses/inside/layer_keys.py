"""Whose keys a layer's cache holds: which are the picture's, and which patches each stands for.

Layers may hold different keys where tokens leave between them. Knows prefilled runs; not what is
done with the attention to those keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.inference.prefill import PrefillRun
from explorer.inference.sequence import StageOutcome

KINDS = ("picture", "question", "template", "first token", "own words")
PICTURE, QUESTION, TEMPLATE, FIRST, OWN = range(len(KINDS))
GENERATED = 2**40  # an answer's tokens have numbers from here on


@dataclass(frozen=True)
class LayerKeys:
    """The keys that one layer has of a prompt, S of them, n the picture's.

    kind [S]: one of KINDS; number [S]: a number that a token keeps from layer to layer, those of
    words below zero. patch_key [N]: the key that stands for each patch, -1 if none does. sharing
    [N]: how many patches that key stands for.
    """

    kind: Tensor
    number: Tensor
    patch_key: Tensor
    sharing: Tensor

    def of_patches(self, values: Tensor) -> Tensor:
        """Share out what keys got [..., S or more] among their patches, [..., N]; NaN for none."""
        shared = self.holding(values) / self.sharing
        return shared.masked_fill(self.patch_key < 0, torch.nan)

    def holding(self, values: Tensor) -> Tensor:
        """Give what each patch's key has [..., N], of values [..., S or more]; 0 for no key."""
        return values[..., self.patch_key.clamp(min=0)] * (self.patch_key >= 0)

    def kinds(self, length: int) -> Tensor:
        """Give the kinds of all keys when the answer's own tokens have made it this long."""
        own = self.kind.new_full((length - len(self.kind),), OWN)
        return torch.cat([self.kind, own])

    def numbers(self, length: int) -> Tensor:
        """Give the numbers of all keys when the answer's own tokens have made it this long."""
        own = torch.arange(length - len(self.number), device=self.number.device)
        return torch.cat([self.number, GENERATED + own])


def entering_keys(run: PrefillRun, asked: Tensor) -> list[LayerKeys]:
    """Give the keys that the prompt's last token saw in each layer.

    asked [T]: which of the prompt's tokens that are not visual are the question's.
    """
    return _shared(run, [(kept.text_visual_mask, kept.token_id) for kept in run.trace], asked)


def cached_keys(run: PrefillRun, asked: Tensor) -> list[LayerKeys]:
    """Give the keys that each layer's cache holds when decoding begins: a stage may cut it."""
    return _shared(run, list(zip(run.text_visual_mask, run.token_id, strict=True)), asked)


def _shared(run: PrefillRun, tokens: list[tuple[Tensor, Tensor]], asked: Tensor) -> list[LayerKeys]:
    """Describe the keys once for all layers between which nothing has happened to the tokens."""
    known: dict[tuple[int, ...], LayerKeys] = {}
    found = []
    for layer, (mask, token_id) in enumerate(tokens):
        about = mask, token_id, run.trace[layer].token_id
        same = (*map(id, about), len(_happened(run, layer)))
        if same not in known:
            known[same] = _keys(run, layer, mask, token_id, asked)
        found.append(known[same])
    return found


def _happened(run: PrefillRun, layer: int) -> list[StageOutcome]:
    """List the stages up to a layer at which tokens have left."""
    return [
        outcome
        for outcome in run.outcomes
        if outcome.stage.layer <= layer and not outcome.stage.wipe_cache
    ]


def _keys(run: PrefillRun, layer: int, mask: Tensor, token_id: Tensor, asked: Tensor) -> LayerKeys:
    visual = mask[1] > 0
    kind = torch.full_like(visual, TEMPLATE, dtype=torch.long)
    kind[visual] = PICTURE
    # words never leave, so that those left are those of the prompt in their order
    kind[~visual] = torch.where(asked, QUESTION, TEMPLATE)
    if not visual[0]:
        kind[0] = FIRST
    number = torch.empty_like(kind)
    number[visual] = token_id
    number[~visual] = -1 - torch.arange(int((~visual).sum()), device=number.device)
    patch_key = _patch_keys(run, layer, visual, token_id)
    counts = torch.bincount(patch_key.clamp(min=0), (patch_key >= 0).float(), len(kind))
    sharing = counts[patch_key.clamp(min=0)].clamp(min=1)
    return LayerKeys(kind, number, patch_key, sharing)


def _patch_keys(run: PrefillRun, layer: int, visual: Tensor, token_id: Tensor) -> Tensor:
    """Follow every patch of the untouched prompt to the key that holds it, [N]."""
    entered = run.trace[layer].token_id
    if happened := _happened(run, layer):
        slot = happened[-1].alive_index
        holder = entered[slot.clamp(min=0)] if len(entered) else slot
        holder = holder.masked_fill(slot < 0, -1)
    else:
        holder = entered
    place = visual.nonzero()[:, 0]
    at, found = find(token_id, holder)
    return (place[at] if len(place) else at).masked_fill(~found, -1)


def find(numbers: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Look wanted ones up among distinct numbers: their index, and whether they are there."""
    if not len(numbers):
        return torch.zeros_like(wanted), torch.zeros_like(wanted, dtype=torch.bool)
    ascending, order = numbers.sort()
    at = torch.searchsorted(ascending, wanted).clamp(max=len(numbers) - 1)
    return order[at], ascending[at] == wanted


def carried(read: Tensor, numbers: Tensor, other: Tensor) -> Tensor:
    """Take what is read among a layer's keys [..., S] to another layer's [..., S'], by numbers."""
    if len(numbers) == len(other) and torch.equal(numbers, other):
        return read
    at, found = find(numbers, other)
    return read[..., at] & found
