"""Stage 1: the tower alone learns to name what every patch shows.

Four heads, thrown away afterwards: the class, row and column of each patch (penultimate layer,
which the language model sees), and which classes there are at all ([CLS] of the last layer).
Without rows and columns the language model never learns where things are.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration

from explorer.pico.architecture import GRID, PATCH, PATCHES, as_pixels, encode_images, normalised
from explorer.pico.data.scenes import Thing
from explorer.pico.data.vocabulary import BACKGROUND, CLASS, CLASSES
from explorer.pico.training.dataset import Pictures, covered
from explorer.pico.training.loop import TrainingPlan, fit

PLAN = TrainingPlan(steps=3000, batch=32, rate=1e-3)
DENSE_SHARE = 0.7  # of the pictures: more things per picture teach more per second
BACKGROUND_WEIGHT = 0.1
PRESENCE_WEIGHT = 20.0
POSITION_WEIGHT = 0.1

Example = tuple[Tensor, Tensor, Tensor]


def class_of(thing: Thing) -> int:
    """Give the class of a thing: its name, its colour and shape, or its sign's word."""
    if thing.kind == "word":
        return CLASS[f"word {thing.name}"]
    return CLASS[f"{thing.color} {thing.name}" if thing.kind == "shape" else thing.name]


def patch_classes(things: tuple[Thing, ...]) -> Tensor:
    """Give the class of each patch, int64 [196]; what was drawn later lies on top."""
    labels = torch.full((GRID, GRID), CLASS[BACKGROUND])
    for thing in things:
        labels[covered(thing)] = class_of(thing)
    return labels.flatten()


def presence(things: tuple[Thing, ...]) -> Tensor:
    """Mark the classes that the scene shows: float32 [C] of 0 and 1."""
    marked = torch.zeros(len(CLASSES))
    marked[[class_of(thing) for thing in things]] = 1
    return marked


def example(pictures: Pictures, number: int) -> Example:
    """Draw picture `number`: pixels uint8 [3, 224, 224], patch classes [196], presence [C]."""
    dense = pictures.rng(number).random() < DENSE_SHARE
    scene = pictures.scene(number, dense=dense)
    return as_pixels(scene.image), patch_classes(scene.things), presence(scene.things)


class Heads(nn.Module):
    """What is read off the tower while it trains."""

    def __init__(self, width: int):
        super().__init__()
        self.what = nn.Linear(width, len(CLASSES))
        self.row = nn.Linear(width, GRID)
        self.column = nn.Linear(width, GRID)
        self.present = nn.Linear(width, len(CLASSES))


def loss_of(model: LlavaForConditionalGeneration, heads: Heads, batch: Example) -> Tensor:
    """Let the tower look, and add up what the heads get wrong."""
    return heads_loss(heads, *encode_images(model, batch[0]), batch)


def heads_loss(
    heads: Heads,
    patches: Tensor,
    cls: Tensor,
    batch: Example,
    position_weight: float = POSITION_WEIGHT,
    empty_weight: float = 1.0,
) -> Tensor:
    """Add up the errors about patch classes, presence, rows and columns.

    patches: [B, 196, D]; cls: [B, D]; empty_weight: of a patch without a thing, where rows and
    columns are told.
    """
    _, classes, present = batch
    classes = classes.flatten()
    weight = torch.ones(len(CLASSES), device=classes.device)
    weight[CLASS[BACKGROUND]] = BACKGROUND_WEIGHT
    what = F.cross_entropy(heads.what(patches).float().flatten(0, 1), classes, weight)
    there = F.binary_cross_entropy_with_logits(heads.present(cls).float(), present)
    number = torch.arange(PATCHES, device=classes.device).repeat(len(present))
    rows, columns = (head(patches).float().flatten(0, 1) for head in (heads.row, heads.column))
    row = F.cross_entropy(rows, number // GRID, reduction="none")
    column = F.cross_entropy(columns, number % GRID, reduction="none")
    counts = torch.where(classes == CLASS[BACKGROUND], empty_weight, 1.0)
    placed = (counts * (row + column)).sum() / counts.sum()
    return what + PRESENCE_WEIGHT * there + position_weight * placed


@torch.no_grad()
def whiten(patch_embedding: nn.Conv2d, pictures: Pictures, count: int = 300) -> None:
    """Start the patch embedding as whitened principal components of real patches.

    That saves the first minutes, in which a random one tells little about the pictures.
    """
    chosen = torch.Generator().manual_seed(pictures.seed)
    samples = []
    for number in range(count):
        pixels = normalised(as_pixels(pictures.scene(number, dense=True).image))
        columns = F.unfold(pixels[None], PATCH, stride=PATCH)[0].T  # [196, 3 * 16 * 16]
        samples.append(columns[torch.randperm(PATCHES, generator=chosen)[:80]])
    patches = torch.cat(samples)
    patches = patches - patches.mean(0)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    width = patch_embedding.weight.shape[0]
    values, vectors = values.flip(0)[:width], vectors.flip(1)[:, :width]
    components = (vectors / (values + 1e-2).sqrt()).T
    patch_embedding.weight.copy_(components.view_as(patch_embedding.weight))


def train(
    model: LlavaForConditionalGeneration,
    pictures: Pictures,
    plan: TrainingPlan = PLAN,
    device: torch.device | str = "cpu",
) -> Iterator[float]:
    """Train the tower and yield the loss of every step."""
    tower = model.model.vision_tower.requires_grad_(True)
    whiten(tower.embeddings.patch_embedding, pictures)
    heads = Heads(model.config.vision_config.hidden_size).to(device)
    named = [
        *((f"tower.{name}", weight) for name, weight in tower.named_parameters()),
        *((f"heads.{name}", weight) for name, weight in heads.named_parameters()),
    ]
    batches = pictures.batches(example, plan.steps, plan.batch)
    return fit(
        named,
        lambda batch, _done: loss_of(model, heads, tuple(part.to(device) for part in batch)),
        batches,
        plan,
        "tower",
        device,
    )
