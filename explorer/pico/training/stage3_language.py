"""Stage 3: the language model learns to answer questions about what a frozen tower sees.

Some heads start as matchers: a query finds keys of the same content and copies what they carry.
That, and the alignment before, is what lets "where" and "what is at" begin early.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from explorer.pico.architecture import as_pixels
from explorer.pico.data.questions import MIX, Question, sample
from explorer.pico.training.dataset import Pictures
from explorer.pico.training.loop import TrainingPlan, fit
from explorer.pico.training.packing import IGNORE, Packed, pack, read

PLAN = TrainingPlan(steps=4400, batch=6, rate=2e-3)
QUESTIONS = 16  # of a picture, packed into one row
# Lists are long: asked half as often as in the evaluation, they leave room for other questions.
TRAINING_MIX = (*MIX, *(kind for kind in MIX if kind != "list"))
MATCHING_LAYERS = (0, 1, 2, 3, 4, 5)
MATCH_LOGIT = 4.84  # attention logit between two positions of the same content
COPY_SCALE = 0.35

Example = tuple[Tensor, list[Question]]


def example(pictures: Pictures, number: int) -> Example:
    """Draw picture `number` and its questions."""
    scene = pictures.scene(number)
    asked = sample(scene, pictures.rng(number), QUESTIONS, mix=TRAINING_MIX)
    return as_pixels(scene.image), asked


def collate(examples: Sequence[Example]) -> Packed:
    """Pack a batch of pictures with their questions."""
    pixels, questions = zip(*examples, strict=True)
    return pack(pixels, questions)


@torch.no_grad()
def start_matching(
    model: LlavaForConditionalGeneration,
    layers: Sequence[int] = MATCHING_LAYERS,
    head: int = 0,
    seed: int = 0,
) -> None:
    """Set one head of some layers to attend to equal content and copy it.

    Query and key are the same random projection, on those rotary dimensions only that turn slowest
    and so hardly depend on distance. Value and output are transposes of each other, which copies.
    """
    config = model.config.text_config
    width, head_width = config.hidden_size, config.head_dim
    half, pairs = head_width // 2, head_width // 4  # rotary pairs, and those taken as slow
    # Normed states have squared length D; a random projection on 2 * pairs dimensions keeps that
    # many of it, so that a scale of s gives equal contents the logit s^2 * 2 * pairs / sqrt(d).
    scale = (MATCH_LOGIT * head_width**0.5 / (2 * pairs)) ** 0.5
    generator = torch.Generator().manual_seed(seed)
    rows = slice(head * head_width, (head + 1) * head_width)
    for layer in layers:
        attention = model.model.language_model.layers[layer].self_attn
        basis = torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
        basis = basis.to(attention.q_proj.weight.device)
        matcher = torch.zeros(head_width, width, device=basis.device)
        matcher[half - pairs : half] = basis[:pairs] * scale
        matcher[head_width - pairs :] = basis[pairs : 2 * pairs] * scale
        attention.q_proj.weight[rows] = matcher
        attention.k_proj.weight[rows] = matcher
        copied = basis[-head_width:] * COPY_SCALE
        attention.v_proj.weight[rows] = copied
        attention.o_proj.weight[:, rows] = copied.T


def answer_loss(model: LlavaForConditionalGeneration, packed: Packed, hidden: Tensor) -> Tensor:
    """Mean cross-entropy of all answer tokens, [EOS] included."""
    asked = packed.targets != IGNORE
    return F.cross_entropy(model.lm_head(hidden[asked]).float(), packed.targets[asked])


def trainable(model: LlavaForConditionalGeneration) -> list[tuple[str, torch.nn.Parameter]]:
    """Freeze the tower and give all other parameters by name."""
    model.model.vision_tower.requires_grad_(False)
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]


def train(
    model: LlavaForConditionalGeneration,
    pictures: Pictures,
    plan: TrainingPlan = PLAN,
    device: torch.device | str = "cpu",
) -> Iterator[float]:
    """Train projector and language model and yield the loss of every step."""
    depth = model.config.text_config.num_hidden_layers
    start_matching(model, [layer for layer in MATCHING_LAYERS if layer < depth])

    def loss_of(packed: Packed, _done: float) -> Tensor:
        packed = packed.to(device)
        return answer_loss(model, packed, read(model, packed))

    batches = pictures.batches(example, plan.steps, plan.batch, collate)
    return fit(trainable(model), loss_of, batches, plan, "questions", device)
