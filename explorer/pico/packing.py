"""All questions of a picture in one row, so that the picture is read once.

A block mask lets each question see the picture and itself, never another question, and positions
start anew after the picture: each is answered exactly as if it were asked alone. Knows nothing of
how questions come about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from explorer.pico.architecture import PATCHES, see
from explorer.pico.questions import Question
from explorer.pico.vocabulary import BOS, EOS, IMAGE, PAD, TOKEN, encode

IGNORE = -100
PICTURE = [TOKEN[BOS]] + [TOKEN[IMAGE]] * PATCHES
PADDING = -1  # the block of positions that belong to no question


class Span(NamedTuple):
    """Where a question's answer is foretold: positions first..stop-1 of row `row`.

    `first` is the last token of the prompt, which foretells the answer's first token.
    """

    row: int
    first: int
    stop: int


@dataclass
class Packed:
    """A batch of pictures with their questions, B rows of S positions.

    pixels: uint8 [B, 3, 224, 224]; ids: int64 [B, S]; targets: int64 [B, S], the token that must
    follow each position, or IGNORE; positions: int64 [B, S]; mask: bool [B, 1, S, S], True where
    a query sees a key; spans: one per question, in order.
    """

    pixels: Tensor
    ids: Tensor
    targets: Tensor
    positions: Tensor
    mask: Tensor
    spans: list[Span]

    def to(self, device: torch.device | str) -> Packed:
        """Copy all tensors to a device."""
        values = [getattr(self, field.name) for field in fields(self)]
        return Packed(*(v.to(device) if isinstance(v, Tensor) else v for v in values))


def prompt_ids(question: str) -> list[int]:
    """Give a question's tokens after the picture, as the chat template writes them."""
    return encode(f"user : {question} assistant :")


def pack(pixels: Sequence[Tensor], questions: Sequence[Sequence[Question]]) -> Packed:
    """Put the questions of each picture into one row."""
    ids, targets, positions, blocks, spans = [], [], [], [], []
    for row, asked in enumerate(questions):
        row_ids, row_positions = list(PICTURE), list(range(len(PICTURE)))
        row_targets, row_blocks = [IGNORE] * len(PICTURE), [0] * len(PICTURE)
        for block, question in enumerate(asked, 1):
            prompt, answer = prompt_ids(question.text), encode(question.answer)
            first = len(row_ids) + len(prompt) - 1
            spans.append(Span(row, first, first + len(answer) + 1))
            tokens = prompt + answer
            row_ids += tokens
            row_targets += [IGNORE] * (len(prompt) - 1) + answer + [TOKEN[EOS]]
            row_positions += range(len(PICTURE), len(PICTURE) + len(tokens))
            row_blocks += [block] * len(tokens)
        ids.append(row_ids)
        targets.append(row_targets)
        positions.append(row_positions)
        blocks.append(row_blocks)
    return Packed(
        torch.stack(list(pixels)),
        _padded(ids, TOKEN[PAD]),
        _padded(targets, IGNORE),
        _padded(positions, 0),
        block_mask(_padded(blocks, PADDING)),
        spans,
    )


def block_mask(blocks: Tensor) -> Tensor:
    """Let each position see what is before it in its own block and in block 0, the picture.

    blocks: int64 [B, S]; returns bool [B, 1, S, S].
    """
    same = blocks[:, :, None] == blocks[:, None, :]
    causal = torch.ones(blocks.shape[1], blocks.shape[1], dtype=torch.bool).tril()
    return ((same | (blocks[:, None, :] == 0)) & causal)[:, None]


def read(model: LlavaForConditionalGeneration, packed: Packed, frozen_tower: bool = True) -> Tensor:
    """Run the model on packed questions; returns the last hidden states [B, S, D]."""
    with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen_tower):
        patches, _ = see(model, packed.pixels)
    words = model.get_input_embeddings()(packed.ids)
    visual = model.model.multi_modal_projector(patches).to(words.dtype)
    embeds = torch.cat([words[:, :1], visual, words[:, 1 + PATCHES :]], 1)
    return model.model.language_model(
        inputs_embeds=embeds,
        attention_mask=packed.mask,
        position_ids=packed.positions,
        use_cache=False,
    ).last_hidden_state


def _padded(rows: list[list[int]], value: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])
