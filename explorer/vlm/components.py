"""The parts into which every family takes its model apart; plain records, no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from explorer.errors import ModelUnavailable
from explorer.vlm.devices import first_device


@dataclass(frozen=True)
class Vlm:
    """A loaded model, with what models.yaml says about running it.

    live: fast enough to fill the strip of answers by itself. max_new_tokens bounds an answer.
    cores: of the CPU that it may use; threads: how many of them suit one run, 0 for all.
    """

    key: str
    title: str
    family: ModuleType
    model: nn.Module
    processor: object
    live: bool = False
    max_new_tokens: int = 64
    threads: int = 0
    cores: int = 1

    @property
    def device(self) -> torch.device:
        """Where the model takes its inputs, however many cards it is spread over."""
        return first_device(self.model)

    @property
    def run_threads(self) -> int:
        """CPU threads that one run of the model is computed with."""
        return self.threads or self.cores

    @cached_property
    def yes_no(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Tokens that say "yes" and tokens that say "no", in every spelling of one token."""
        tokenizer = self.processor.tokenizer
        found = []
        for word in ("yes", "no"):
            written = (f"{blank}{w}" for blank in ("", " ") for w in (word, word.title()))
            tokens = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in written]
            single = {ids[0] for ids in tokens if len(ids) == 1}
            found.append(tuple(sorted(single - {tokenizer.unk_token_id})))
        return found[0], found[1]


Pixels = dict[str, Tensor]
"""A picture as the model's own keyword arguments: pixel_values, and what goes with them."""


class Vision(NamedTuple):
    """What a tower makes of a picture.

    hidden_states [V, n (+1 with a [CLS] in front), Dv] that the projector reads, crop by crop, the
    whole picture first; features [N, D] the visual tokens in the order of the prompt; deepstack:
    further [N, D], of which the i-th is added to the visual tokens behind decoder layer i.
    """

    hidden_states: Tensor
    features: Tensor
    deepstack: tuple[Tensor, ...] = ()


def hooked_modules(attentions: Sequence[nn.Module]) -> dict[str, nn.Module]:
    """Name the attention modules, one per layer, from which a tower's signals are taken.

    early: of the layer that sees details, the 6th of CLIP-L's 24, as far up in others; object: of
    the one that looks at things, the 9th there, which HiPrune takes.
    """
    n = len(attentions)
    return {
        "first": attentions[0],
        "early": attentions[round(5 / 24 * n)],
        "object": attentions[max(round(9 / 24 * n), 1) - 1],
        "last": attentions[-1],
    }


@dataclass(frozen=True)
class Tower:
    """The vision side.

    attention, first, early, object, last: the attention modules of the layer that feeds the
    projector, of the tower's first layer, of two on the way up (see `hooked_modules`)
    and of its last. run: looks at a picture. project: maps [..., patches_per_token * Dv] to
    [..., D], the patches of a token one behind the other.
    projector_layers: the projector's layers in their order, if the last of them is linear.
    layers: where they pass a tensor on and nothing besides, and so can run with fewer tokens; the
    projector reads what `norm` makes of the output of number `feeds` of them.
    viewer: the module that looks at a batch of views, each by itself; None where there is none.
    """

    attention: nn.Module
    first: nn.Module
    early: nn.Module
    object: nn.Module
    last: nn.Module
    has_cls: bool
    run: Callable[[Pixels], Vision]
    project: nn.Module
    patches_per_token: int = 1
    projector_layers: tuple[nn.Module, ...] = ()
    layers: tuple[nn.Module, ...] = ()
    feeds: int = -1
    norm: nn.Module = field(default_factory=nn.Identity)
    viewer: nn.Module | None = None


@dataclass(frozen=True)
class Decoder:
    """The language side: `body` has layers, norm, rotary_emb and embed_tokens."""

    body: nn.Module
    head: nn.Module
    eos: frozenset[int]


@dataclass(frozen=True)
class ChatPrompt:
    """A prompt: input_ids [1, S]; visual_positions [N], ascending, of the visual tokens.

    is_text [S] is true for text, and leaves out BOS, EOS and padding, which are no words (dominance
    would count the attention sink at BOS as listening to text). A prompt without BOS leaves out its
    first token instead. is_question [S]: true where a token is part of the question, and not of the
    template around it. n_response_header: how many tokens stand behind the question. position_ids
    [3, 1, S]: of a model that gives a token of the picture its row and column; None counts from 0.
    """

    input_ids: Tensor
    visual_positions: Tensor
    is_text: Tensor
    is_question: Tensor
    n_response_header: int = 1
    position_ids: Tensor | None = None


def decoder(vlm: Vlm) -> Decoder:
    """Take the language side apart."""
    body = vlm.model.get_decoder()
    if getattr(body.config, "sliding_window", None) is not None:
        raise ModelUnavailable("This model forgets with a sliding window, which is not supported.")
    eos = vlm.model.generation_config.eos_token_id
    return Decoder(body, vlm.model.lm_head, frozenset([eos] if isinstance(eos, int) else eos or ()))
