"""Stage 2: visual tokens and words meet in one space, before the language model learns anything.

The projector and the word embeddings are trained so that a visual token lies near the words of what
it shows and of where it is: then the language model can begin by matching words.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration

from explorer.pico.architecture import GRID, PATCHES, encode_images
from explorer.pico.data.vocabulary import (
    BACKGROUND,
    CATEGORIES,
    CLASS,
    CLASSES,
    OBJECTS,
    PLACES,
    SHAPES,
    TOKEN,
    WORDS,
    plural,
)
from explorer.pico.training import stage1_tower
from explorer.pico.training.dataset import Pictures
from explorer.pico.training.loop import TrainingPlan, fit

PLAN = TrainingPlan(steps=225, batch=32, rate=2e-3, warm_up=50, floor=0.05, muon=False, half=False)
WHAT_SHARE = 0.6  # of a visual token's words; the rest says where it is
CATEGORY_SHARE = 0.15  # of an animal's words goes to "animal"
NOTHING_WEIGHT = 0.15  # of background patches in the loss
SHARPNESS = 4.0  # of the match between a token and the words
VISUAL_NORM = 1.5  # lengths that projected tokens and words are held at
WORD_NORM = 1.0
NORM_WEIGHT = 0.1


def words_of_classes() -> Tensor:
    """Share each class out over its words: float32 [classes, words], rows sum to 1."""
    shares = torch.zeros(len(CLASSES), len(WORDS))
    for name, number in CLASS.items():
        if name == BACKGROUND:
            shares[number, TOKEN["nothing"]] = 1
        elif name in OBJECTS:
            categories = [key for key, members in CATEGORIES.items() if name in members]
            shares[number, TOKEN[name]] = 1 - CATEGORY_SHARE * len(categories)
            for category in categories:
                shares[number, TOKEN[category]] = CATEGORY_SHARE
        else:
            for word in name.replace("word ", "sign ").split():
                shares[number, TOKEN[word]] = 0.5
    return shares


def words_of_patches() -> Tensor:
    """Share each patch out over the words of its place: float32 [196, words], rows sum to 1."""
    shares = torch.zeros(PATCHES, len(WORDS))
    for patch in range(PATCHES):
        row, column = divmod(patch, GRID)
        words = PLACES[row * 3 // GRID * 3 + column * 3 // GRID].split()
        for word in words:
            shares[patch, TOKEN[word]] = 1 / len(words)
    return shares


def loss_of(
    model: LlavaForConditionalGeneration, words: Tensor, places: Tensor, batch: stage1_tower.Example
) -> Tensor:
    """Compare each visual token's nearest words with the words it should be near.

    words: `words_of_classes()`; places: `words_of_patches()`.
    """
    pixels, classes, _ = batch
    with torch.no_grad():
        patches, _ = encode_images(model, pixels)
    visual = model.model.multi_modal_projector(patches)
    embeddings = model.get_input_embeddings().weight
    wanted = WHAT_SHARE * words[classes] + (1 - WHAT_SHARE) * places
    found = (SHARPNESS * visual @ embeddings.T).log_softmax(-1)
    weight = torch.where(classes == CLASS[BACKGROUND], NOTHING_WEIGHT, 1.0)
    match = -((wanted * found).sum(-1) * weight).sum() / weight.sum()
    visual_norm = (visual.norm(dim=-1) - VISUAL_NORM).square().mean()
    word_norm = (embeddings.norm(dim=-1) - WORD_NORM).square().mean()
    return match + NORM_WEIGHT * (visual_norm + word_norm)


@torch.no_grad()
def place_plurals(embeddings: Tensor, generator: torch.Generator) -> None:
    """Put each plural, which no patch is ever called, next to its singular. Changes the tensor."""
    for name in (*OBJECTS, *CATEGORIES, *SHAPES, "sign"):
        if plural(name) != name:
            noise = torch.randn(embeddings.shape[1], generator=generator) * 0.02
            near = embeddings[TOKEN[name]] + noise.to(embeddings.device)
            embeddings[TOKEN[plural(name)]] = near


def train(
    model: LlavaForConditionalGeneration,
    pictures: Pictures,
    plan: TrainingPlan = PLAN,
    device: torch.device | str = "cpu",
) -> Iterator[float]:
    """Train projector and embeddings and yield the loss of every step."""
    generator = torch.Generator().manual_seed(pictures.seed)
    embeddings = model.get_input_embeddings().weight
    width = embeddings.shape[1]
    with torch.no_grad():
        start = torch.randn(embeddings.shape, generator=generator) * width**-0.5
        embeddings.copy_(start)
    projector: nn.Module = model.model.multi_modal_projector
    named = [("embed_tokens", embeddings), *projector.named_parameters()]
    words, places = words_of_classes().to(device), words_of_patches().to(device)
    batches = pictures.batches(stage1_tower.example, plan.steps, plan.batch)
    yield from fit(
        named,
        lambda batch, _done: loss_of(model, words, places, tuple(p.to(device) for p in batch)),
        batches,
        plan,
        "align",
        device,
    )
    place_plurals(embeddings, generator)
