"""Stage 5: the questions go on while visual tokens leave and positions change.

Most batches lose patches at the input or between two layers of the language model, and in every
batch the positions of patches are drawn anew: kept, counted on, or stretched with gaps. So only
what a patch carries can tell where it is, and what a neighbour shows must do where a patch is gone.
Pointing goes on, among the patches that stay. Knows no method of pruning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from explorer.pico.architecture import GRID, PATCHES, as_pixels
from explorer.pico.data.questions import MIX, Question, sample
from explorer.pico.training.dataset import Pictures, covered_patches
from explorer.pico.training.loop import TrainingPlan, fit
from explorer.pico.training.packing import Packed, leaving, placed, read, shorten
from explorer.pico.training.stage3_language import answer_loss, trainable
from explorer.pico.training.stage4_pointing import (
    HEAD,
    LAYERS,
    Pointers,
    inputs_of,
    patch_attention,
    pointing_loss,
    weight_at,
)
from explorer.pico.training.stage4_pointing import collate as pack_with_pointers

PLAN = TrainingPlan(steps=4000, batch=6, rate=1.2e-3, warm_up=50, floor=0.0)
QUESTIONS = 14
DROPPING_MIX = (*MIX, *("at", "where", "rel", "read") * 2)
DENSE_SHARE = 0.4  # of the pictures: full of things, and of signs, which are the hardest to read
DENSE_SIGNS = 0.4
COMPLETE, AT_INPUT = 0.3, 0.5  # shares of the batches; the others lose patches between two layers
LAST_LAYER = 8
FEWEST, MOST = 12, 190  # patches that stay
WIDEST = 2 * PATCHES  # positions that stretched patches are spread over
STANDING = 0.2  # share of the rows whose patches keep their positions
FADE = (0.55, 0.85)  # of pointing, later than in the stage before

Example = tuple[Tensor, list[Question], Tensor]
Batch = tuple[Packed, Pointers, Tensor]


def example(pictures: Pictures, number: int) -> Example:
    """Draw picture `number`: pixels, questions, and the patches that show a thing, [196]."""
    rng = pictures.rng(number)
    if rng.random() < DENSE_SHARE:
        scene = pictures.scene(number, dense=True, signs=DENSE_SIGNS)
    else:
        scene = pictures.scene(number)
    asked = sample(scene, rng, QUESTIONS, mix=DROPPING_MIX)
    return as_pixels(scene.image), asked, covered_patches(scene.things)


def collate(examples: Sequence[Example]) -> Batch:
    """Pack a batch; with it where questions should look, and where things are, [B, 196]."""
    pixels, asked, things = zip(*examples, strict=True)
    return *pack_with_pointers(list(zip(pixels, asked, strict=True))), torch.stack(things)


class Chance:
    """All that this stage draws while it trains, from one seed."""

    def __init__(self, seed: int):
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, *shape: int) -> Tensor:
        """Draw numbers from 0 to 1."""
        return torch.rand(shape, generator=self.generator)

    def leave_before(self) -> int | None:
        """Draw the layer before which patches leave, 0 at the input; None: all stay."""
        draw = self.uniform(1).item()
        if draw < COMPLETE:
            return None
        if draw < COMPLETE + AT_INPUT:
            return 0
        return 1 + int(self.uniform(1).item() * LAST_LAYER)

    def count(self) -> int:
        """Draw how many patches stay; small numbers as often as large ones."""
        low, high = math.log(FEWEST), math.log(MOST)
        return round(math.exp(low + (high - low) * self.uniform(1).item()))

    def kept(self, things: Tensor, count: int) -> Tensor:
        """Draw which patches stay, [B, K] ascending: any, blobs, or more or fewer of the things'.

        things: float32 [B, 196], 1 where a patch shows some.
        """
        rows = len(things)
        noise = torch.randn(rows, PATCHES, generator=self.generator)
        blobs = _smooth(torch.randn(rows, PATCHES, generator=self.generator)) + 0.3 * noise
        leaning = noise + (4 * self.uniform(rows, 1) - 1) * things
        way = self.uniform(rows, 1)
        score = torch.where(way < 0.45, noise, torch.where(way < 0.65, blobs, leaning))
        return score.topk(count, 1).indices.sort(1).values

    def positions(self, standing: Tensor) -> Tensor:
        """Draw where K patches stand, and what follows them, [B, K + 1]; see `Packed.standing`.

        A fifth of the rows stay; half of the others count on from [BOS], half have gaps.
        """
        rows, count = standing.shape
        counted = torch.arange(count).expand(rows, -1)
        width = count + (self.uniform(rows, 1) * (WIDEST - count)).long()
        score = self.uniform(rows, WIDEST).masked_fill(torch.arange(WIDEST) >= width, -1.0)
        gaps = score.topk(count, 1).indices.sort(1).values
        way = self.uniform(rows, 1)
        drawn = 1 + torch.where(way < 0.5, counted, gaps).to(standing.device)
        stays = (self.uniform(rows, 1) < STANDING).to(standing.device)
        return torch.where(stays, standing, drawn)


def _smooth(noise: Tensor) -> Tensor:
    """Blur numbers over the grid, so that neighbours are alike; mean 0 and deviation 1 again."""
    field = noise.view(-1, 1, GRID, GRID)
    for _ in range(2):
        field = F.avg_pool2d(F.pad(field, (1, 1, 1, 1), mode="replicate"), 3, 1)
    field = field.flatten(1)
    return (field - field.mean(1, keepdim=True)) / field.std(1, keepdim=True)


def learner(
    model: LlavaForConditionalGeneration,
    chance: Chance,
    device: torch.device | str = "cpu",
    layers: Sequence[int] = LAYERS,
    head: int = HEAD,
) -> Callable[[Batch, float], Tensor]:
    """Give the function that fit asks for: the loss of a batch after a share of the stage."""

    def loss_of(batch: Batch, done: float) -> Tensor:
        packed, pointers, things = batch
        packed, leave = packed.to(device), chance.leave_before()
        if leave != 0:
            packed = placed(packed, chance.positions(packed.standing))
        kept, passed = None, packed
        with ExitStack() as stack:
            if leave is not None:
                kept = chance.kept(things, chance.count()).to(device)
                short = shorten(packed, kept)
                passed = placed(short, chance.positions(short.standing))
                stack.enter_context(leaving(model, packed, kept, leave, passed))
            states = stack.enter_context(inputs_of(model, layers))
            loss = answer_loss(model, passed, read(model, packed))
        weight = weight_at(done, FADE)
        if weight > 0 and (leave or 0) <= min(layers):
            pointed = pointing_to_the_kept(model, states, passed, pointers, kept, head)
            loss = loss + weight * pointed
        return loss

    return loss_of


def pointing_to_the_kept(
    model: LlavaForConditionalGeneration,
    states: Mapping[int, Tensor],
    packed: Packed,
    pointers: Pointers,
    kept: Tensor | None,
    head: int = HEAD,
) -> Tensor:
    """Give the pointing loss where some of the patches asked for stay, averaged over layers.

    states: what entered each layer; packed: the rows that did; pointers: of the complete rows.
    """
    spans, marked = pointers
    marked = marked.to(packed.ids.device)
    if kept is not None and spans:
        marked = marked.gather(1, kept[[span.row for span in spans]])
    shown = [number for number, marks in enumerate(marked) if marks.any()]
    if not shown:
        return packed.positions.new_zeros((), dtype=torch.float)
    moved = [spans[number].after(PATCHES - packed.patches) for number in shown]
    losses = [
        pointing_loss(
            patch_attention(model, layer, x, packed.positions, moved, head, packed.patches),
            marked[shown],
        )
        for layer, x in states.items()
    ]
    return torch.stack(losses).mean()


def train(
    model: LlavaForConditionalGeneration,
    pictures: Pictures,
    plan: TrainingPlan = PLAN,
    device: torch.device | str = "cpu",
) -> Iterator[float]:
    """Train projector and language model and yield the sum of the losses at every step."""
    loss_of = learner(model, Chance(pictures.seed), device)
    batches = pictures.batches(example, plan.steps, plan.batch, collate)
    return fit(trainable(model), loss_of, batches, plan, "dropping", device)
