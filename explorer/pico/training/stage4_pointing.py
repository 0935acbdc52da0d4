"""Stage 4: more questions, while one attention head is taught to point at what is asked for.

At the position that foretells an answer's first word, one head of two middle layers should attend
to the patches of the things that the question is about. The extra loss fades out before the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlavaForConditionalGeneration
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from explorer.pico.architecture import PATCHES, as_pixels
from explorer.pico.data.questions import MIX, sample
from explorer.pico.training.dataset import Pictures, covered_patches
from explorer.pico.training.loop import TrainingPlan, fit
from explorer.pico.training.packing import Packed, Span, pack, read
from explorer.pico.training.stage3_language import Example, answer_loss, trainable

PLAN = TrainingPlan(steps=850, batch=6, rate=1e-3, warm_up=50, floor=0.05)
QUESTIONS = 14
POINTING_MIX = (*MIX, *("where",) * 4, *("rel",) * 3)
LAYERS = (6, 7)
HEAD = 2
WEIGHT = 0.5
FADE = (0.5, 0.8)  # shares of the stage: full weight until the first, none from the second on

Pointers = tuple[list[Span], Tensor]  # questions that have targets, and their patches [P, 196]


def example(pictures: Pictures, number: int) -> Example:
    """Draw picture `number` and its questions."""
    scene = pictures.scene(number)
    asked = sample(scene, pictures.rng(number), QUESTIONS, mix=POINTING_MIX)
    return as_pixels(scene.image), asked


def collate(examples: Sequence[Example]) -> tuple[Packed, Pointers]:
    """Pack a batch, and note where each question with targets should look."""
    pixels, questions = zip(*examples, strict=True)
    packed = pack(pixels, questions)
    asked = [question for row in questions for question in row]
    pairs = [(s, q) for s, q in zip(packed.spans, asked, strict=True) if q.targets]
    marks = [covered_patches(question.targets) for _, question in pairs]
    return packed, ([span for span, _ in pairs], torch.stack(marks) if marks else torch.empty(0))


def weight_at(done: float, fade: tuple[float, float] = FADE) -> float:
    """Give the weight of pointing after a share of the stage; fade: as FADE."""
    full, none = fade
    return WEIGHT * min(1.0, max(0.0, (none - done) / (none - full)))


@contextmanager
def inputs_of(
    model: LlavaForConditionalGeneration, layers: Sequence[int]
) -> Iterator[dict[int, Tensor]]:
    """Collect the hidden states that enter some layers while the context is open."""
    found: dict[int, Tensor] = {}

    def keep(layer: int, arguments: tuple, named: dict) -> None:
        found[layer] = arguments[0] if arguments else named["hidden_states"]

    decoder = model.model.language_model.layers
    handles = [
        decoder[layer].register_forward_pre_hook(
            lambda _module, arguments, named, layer=layer: keep(layer, arguments, named),
            with_kwargs=True,
        )
        for layer in layers
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def patch_attention(
    model: LlavaForConditionalGeneration,
    layer: int,
    states: Tensor,
    positions: Tensor,
    spans: Sequence[Span],
    head: int = HEAD,
    count: int = PATCHES,
) -> Tensor:
    """Give one head's attention from the spans' first positions over the patches alone, [P, K].

    states: what enters the layer, [B, S, D]; positions: [B, S]; count: K patches in every row.
    """
    decoder = model.model.language_model
    attention = decoder.layers[layer].self_attn
    width = attention.head_dim
    rows = slice(head * width, (head + 1) * width)
    states = decoder.layers[layer].input_layernorm(states)
    queries = F.linear(states, attention.q_proj.weight[rows])[:, None]  # [B, 1, S, d]
    keys = F.linear(states, attention.k_proj.weight[rows])[:, None]
    queries, keys = apply_rotary_pos_emb(queries, keys, *decoder.rotary_emb(states, positions))
    row = torch.tensor([span.row for span in spans])
    first = torch.tensor([span.first for span in spans])
    asking, patches = queries[row, 0, first], keys[row, 0, 1 : 1 + count]
    logits = torch.einsum("pd,pnd->pn", asking.float(), patches.float()) * width**-0.5
    return logits.softmax(-1)


def pointing_loss(attention: Tensor, marked: Tensor) -> Tensor:
    """Minus the log of the attention that falls on the marked patches, averaged over questions."""
    return -(attention * marked).sum(-1).clamp_min(1e-6).log().mean()


def train(
    model: LlavaForConditionalGeneration,
    pictures: Pictures,
    plan: TrainingPlan = PLAN,
    device: torch.device | str = "cpu",
    layers: Sequence[int] = LAYERS,
    head: int = HEAD,
) -> Iterator[float]:
    """Train projector and language model on both losses and yield their sum at every step."""

    def loss_of(batch: tuple[Packed, Pointers], done: float) -> Tensor:
        packed, (spans, marked) = batch
        packed, marked = packed.to(device), marked.to(device)
        with inputs_of(model, layers) as states:
            loss = answer_loss(model, packed, read(model, packed))
        weight = weight_at(done)
        if weight == 0 or not spans:
            return loss
        for layer in layers:
            found = patch_attention(model, layer, states[layer], packed.positions, spans, head)
            loss = loss + weight * pointing_loss(found, marked) / len(layers)
        return loss

    batches = pictures.batches(example, plan.steps, plan.batch, collate)
    return fit(trainable(model), loss_of, batches, plan, "pointing", device)
