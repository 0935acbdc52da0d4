"""All questions of a picture in one row, so that the picture is read once.

A block mask lets each question see the picture and itself, never another question, and positions
start anew after the picture: each is answered exactly as if it were asked alone. Patches may leave
such rows, at the input or between two layers. Knows nothing of how questions come about or which
patches leave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from explorer.pico.architecture import PATCHES, encode_images
from explorer.pico.data.questions import Question
from explorer.pico.data.vocabulary import BOS, EOS, IMAGE, PAD, TOKEN, encode

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

    def after(self, gone: int) -> Span:
        """Give the same place in a row that has lost `gone` patches."""
        return Span(self.row, self.first - gone, self.stop - gone)


@dataclass
class Packed:
    """A batch of pictures with their questions, B rows of S positions.

    pixels: uint8 [B, 3, 224, 224]; ids: int64 [B, S]; targets: int64 [B, S], the token that must
    follow each position, or IGNORE; positions: int64 [B, S]; mask: bool [B, 1, S, S], True where
    a query sees a key; spans: one per question, in order; patches: K, how many visual tokens every
    row has, from its second token on.
    """

    pixels: Tensor
    ids: Tensor
    targets: Tensor
    positions: Tensor
    mask: Tensor
    spans: list[Span]
    patches: int = PATCHES

    @property
    def standing(self) -> Tensor:
        """Positions of the patches, and last of what follows them: int64 [B, K + 1]."""
        return self.positions[:, 1 : self.patches + 2]

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


def read(
    model: LlavaForConditionalGeneration, packed: Packed, patches: Tensor | None = None
) -> Tensor:
    """Run the model on packed questions; returns the last hidden states [B, S, D].

    patches: what `see` gave for the pictures; without them the tower looks, and doesn't learn.
    """
    if patches is None:
        with torch.no_grad():
            patches, _ = encode_images(model, packed.pixels)
    words = model.get_input_embeddings()(packed.ids)
    visual = model.model.multi_modal_projector(patches).to(words.dtype)
    embeds = torch.cat([words[:, :1], visual, words[:, 1 + PATCHES :]], 1)
    return model.model.language_model(
        inputs_embeds=embeds,
        attention_mask=packed.mask,
        position_ids=packed.positions,
        use_cache=False,
    ).last_hidden_state


def placed(packed: Packed, standing: Tensor) -> Packed:
    """Move patches to other positions, and what follows them by as much as its first token.

    standing: int64 [B, K + 1], as `Packed.standing`.
    """
    bos, words = packed.positions[:, :1], packed.positions[:, 1 + packed.patches :]
    words = words + (standing - packed.standing)[:, -1:]
    return replace(packed, positions=torch.cat([bos, standing[:, :-1], words], 1))


def shorten(packed: Packed, kept: Tensor) -> Packed:
    """Let only the patches `kept`, int64 [B, K] ascending, stay; all keep their positions."""
    places, gone = _places(packed, kept), packed.patches - kept.shape[1]
    length = packed.mask.shape[-1]
    mask = packed.mask.gather(2, places[:, None, :, None].expand(-1, -1, -1, length))
    return replace(
        packed,
        ids=packed.ids.gather(1, places),
        targets=packed.targets.gather(1, places),
        positions=packed.positions.gather(1, places),
        mask=mask.gather(3, places[:, None, None].expand(-1, -1, places.shape[1], -1)),
        spans=[span.after(gone) for span in packed.spans],
        patches=kept.shape[1],
    )


def _places(packed: Packed, kept: Tensor) -> Tensor:
    """Give the places in a row, [B, T], of [BOS], the kept patches and all words."""
    rows, length = packed.ids.shape
    words = torch.arange(1 + packed.patches, length, device=kept.device).expand(rows, -1)
    return torch.cat([torch.zeros_like(kept[:, :1]), 1 + kept, words], 1)


@contextmanager
def leaving(
    model: LlavaForConditionalGeneration, packed: Packed, kept: Tensor, layer: int, short: Packed
) -> Iterator[None]:
    """While this is open, `read` of packed rows goes on with shorter ones from a layer on.

    kept: what stays of `packed`, as for `shorten`; layer: 0 shortens them at the input; short: what
    `shorten` gave, perhaps at other positions.
    """
    decoder, places = model.model.language_model, _places(packed, kept)

    def enter(index: int, states: Tensor, named: dict) -> tuple[tuple[Tensor], dict]:
        if index == layer:
            states = states.gather(1, places[..., None].expand(-1, -1, states.shape[-1]))
        rotary = decoder.rotary_emb(states, short.positions)
        changed = {"attention_mask": short.mask, "position_embeddings": rotary}
        return (states,), named | changed

    handles = [
        block.register_forward_pre_hook(
            lambda _block, arguments, named, index=index: enter(index, *arguments, named),
            with_kwargs=True,
        )
        for index, block in enumerate(decoder.layers)
        if index >= layer
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _padded(rows: list[list[int]], value: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])
