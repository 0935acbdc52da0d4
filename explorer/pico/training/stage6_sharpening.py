"""Stage 6: the tower learns again, so that a patch tells where it is and what a sign says.

Heads as in stage 1 are fitted to the tower as it stands, then both learn. On patches that show a
thing, rows and columns count as much as names: where those can't be read, the language model knows
places by rotary positions alone, and loses them as soon as patches leave. What the tower named
rightly before stays near, so that the language model still understands it. Knows no questions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from explorer.pico.architecture import as_pixels, encode_images
from explorer.pico.training.dataset import Pictures
from explorer.pico.training.loop import TrainingPlan, fit
from explorer.pico.training.stage1_tower import (
    Example,
    Heads,
    heads_loss,
    patch_classes,
    presence,
)

PLAN = TrainingPlan(steps=950, batch=32, rate=6e-4, warm_up=50, floor=0.0)
HEADS_PLAN = TrainingPlan(steps=150, batch=32, rate=3e-3, warm_up=10, muon=False)
DENSE_SHARE = 0.7  # of the pictures; they are full of signs, too
DENSE_SIGNS = 0.4
POSITION_WEIGHT = 0.3
EMPTY_WEIGHT = 0.2  # of a patch without a thing, where rows and columns are told
KEEPING_WEIGHT = 1.0


def example(pictures: Pictures, number: int) -> Example:
    """Draw picture `number`: pixels uint8 [3, 224, 224], patch classes [196], presence [C]."""
    if pictures.rng(number).random() < DENSE_SHARE:
        scene = pictures.scene(number, dense=True, signs=DENSE_SIGNS)
    else:
        scene = pictures.scene(number)
    return as_pixels(scene.image), patch_classes(scene.things), presence(scene.things)


def sharp_loss(heads: Heads, patches: Tensor, cls: Tensor, batch: Example) -> Tensor:
    """Add up what the heads get wrong, places of things above all; arguments: of `heads_loss`."""
    return heads_loss(heads, patches, cls, batch, POSITION_WEIGHT, EMPTY_WEIGHT)


def keeping_loss(patches: Tensor, before: Tensor, right: Tensor) -> Tensor:
    """Give how far patches moved that were right before, as a share of all patches' variance.

    patches, before: [B, 196, D]; right: bool [B, 196].
    """
    before = before.float()
    variance = (before - before.mean((0, 1))).square().sum(-1).mean()
    moved = (patches.float() - before).square().sum(-1) / variance
    return (moved * right).sum() / right.sum().clamp_min(1)


def train(
    model: LlavaForConditionalGeneration,
    pictures: Pictures,
    plan: TrainingPlan = PLAN,
    device: torch.device | str = "cpu",
) -> Iterator[float]:
    """Train the tower and yield the loss of every step; the heads alone come first, unseen."""
    tower = model.model.vision_tower.requires_grad_(True)
    heads = Heads(model.config.vision_config.hidden_size).to(device)
    head_weights = [(f"heads.{name}", weight) for name, weight in heads.named_parameters()]

    def of_heads(batch: Example, _done: float) -> Tensor:
        batch = tuple(part.to(device) for part in batch)
        with torch.no_grad():
            patches, cls = encode_images(model, batch[0])
        return sharp_loss(heads, patches, cls, batch)

    count = min(HEADS_PLAN.steps, plan.steps)
    examples = pictures.batches(example, count, plan.batch)
    for _ in fit(head_weights, of_heads, examples, HEADS_PLAN, "heads", device):
        pass
    first_model, first_heads = copy.deepcopy(model), copy.deepcopy(heads)

    def of_both(batch: Example, _done: float) -> Tensor:
        batch = tuple(part.to(device) for part in batch)
        patches, cls = encode_images(model, batch[0])
        with torch.no_grad():
            before, _ = encode_images(first_model, batch[0])
            right = first_heads.what(before).argmax(-1) == batch[1]
        kept = keeping_loss(patches, before, right)
        return sharp_loss(heads, patches, cls, batch) + KEEPING_WEIGHT * kept

    tower_weights = [(f"tower.{name}", weight) for name, weight in tower.named_parameters()]
    examples = pictures.batches(example, plan.steps, plan.batch)
    yield from fit([*tower_weights, *head_weights], of_both, examples, plan, "sharpening", device)
