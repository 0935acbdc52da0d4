"""Answer a prompt and keep what every layer did meanwhile, at hardly more than the answer's cost.

Of every word the queries are kept, of the prompt's last token a row of attention; the rows of the
words come from those queries and the cached keys, one layer at a time, when somebody looks. Knows
prompts and plans; not cases, methods or pages.
Letters: G tokens of the answer, of which the first is predicted by the prompt's last token; H
heads, S keys of a layer, N patches, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from explorer.analyses.inside.layer_keys import LayerKeys, cached_keys, entering_keys
from explorer.inference.attention_weights import causal_rows
from explorer.inference.batch import DecodeBatch
from explorer.inference.decode import DecodeLoop, Step, advance
from explorer.inference.prefill import PrefillRun, PruningPlan, prefill
from explorer.inference.sequence import Prompt
from explorer.vlm.components import Decoder

MAX_LOGITS = 8_000_000  # numbers that are read off at once


@dataclass(frozen=True)
class LayerRows:
    """Attention in one layer of what predicts the answer's tokens, in float32.

    first [H, S]: of the prompt's last token; later [H, G - 1, S + G - 1]: of the answer's own
    tokens; entering, cached: whose keys the two of them look at.
    """

    first: Tensor
    later: Tensor
    entering: LayerKeys
    cached: LayerKeys

    def to_patches(self) -> Tensor:
        """Give the attention to the patches, [H, G, N]; NaN where nothing stands for a patch."""
        first = self.entering.of_patches(self.first)[:, None]
        return torch.cat([first, self.cached.of_patches(self.later)], 1)

    def shares(self, n_kinds: int) -> Tensor:
        """Give the attention to every kind of key, mean over heads, [G, kinds]; rows sum to 1."""
        parts = [(self.first[:, None], self.entering.kind)]
        parts.append((self.later, self.cached.kinds(self.later.shape[-1])))
        return torch.cat(
            [
                rows.mean(0).new_zeros(rows.shape[1], n_kinds).index_add(1, kinds, rows.mean(0))
                for rows, kinds in parts
            ]
        )


@dataclass(frozen=True)
class Traced:
    """A run that has answered. tokens [G]: EOS among them where it ended; asked: see LayerKeys."""

    run: PrefillRun
    batch: DecodeBatch
    tokens: list[int]
    asked: Tensor

    @property
    def n_layers(self) -> int:
        """Count the decoder layers."""
        return len(self.run.trace)

    @cached_property
    def entering_keys(self) -> list[LayerKeys]:
        """Whose keys the prompt's last token saw, by layer."""
        return entering_keys(self.run, self.asked)

    @cached_property
    def cached_keys(self) -> list[LayerKeys]:
        """Whose keys the answer's own tokens see besides their own, by layer."""
        return cached_keys(self.run, self.asked)

    def queries(self, layer: int) -> Tensor:
        """Give the queries of the answer's own tokens in a layer, [H, G - 1, d]."""
        steps = self.batch.queries[layer]
        if steps:
            return torch.cat(steps, 2)[0]
        heads, width = self.run.trace[layer].attention.shape[0], self.keys(layer).shape[-1]
        return self.keys(layer).new_zeros(heads, 0, width)

    def keys(self, layer: int) -> Tensor:
        """Give the keys that a layer has cached, [Hkv, S + G - 1, d]."""
        return self.batch.cache.layers[layer].keys[0]

    def rows(self, layer: int) -> LayerRows:
        """Give the rows of attention of one layer."""
        query, key, bias = self.queries(layer), self.keys(layer), self.batch.key_bias[layer]
        at = torch.arange(key.shape[1], device=key.device)[key.shape[1] - query.shape[1] :]
        later = causal_rows(query, key, at, self.batch.scaling[layer], bias=bias)
        device = self.run.text_visual_mask[layer].device  # the layer may be on another card
        return LayerRows(
            self.run.trace[layer].attention.to(device),
            later.to(device),
            self.entering_keys[layer],
            self.cached_keys[layer],
        )

    def hidden_states(self, layer: int) -> Tensor:
        """Give what a layer gives of the tokens that predict the answer's, [G, D]."""
        later = self.batch.hidden_states[layer]
        first = self.run.trace[layer].hidden[None]
        return torch.cat([first, *(states[0] for states in later)])

    def logits(self, layer: int) -> Tensor:
        """Read the next token off what a layer gives: final norm and head, [G, V] in float32."""
        return self._read_off(self.hidden_states(layer))

    def logits_of_layers(self) -> Iterator[Tensor]:
        """Read the next token off every layer, [rows, V] a few at a time, L x G rows in all.

        Layers come one behind the other. The head's weights are many times the states: they are
        passed over once for as many rows as memory allows, not once a layer.
        """
        states = [self.hidden_states(layer) for layer in range(self.n_layers)]
        rows = torch.cat([each.to(states[-1].device) for each in states])
        at_once = max(1, MAX_LOGITS // self.run.logits.shape[-1])
        yield from map(self._read_off, rows.split(at_once))

    def _read_off(self, hidden_states: Tensor) -> Tensor:
        decoder = self.run.decoder
        return decoder.head(decoder.body.norm(hidden_states)).float()


@torch.no_grad()
def trace(
    decoder: Decoder, prompt: Prompt, plan: PruningPlan, asked: Tensor, limit: int
) -> Iterator[Step | Traced]:
    """Answer greedily and give every step; at last all that was kept. limit: tokens at most."""
    run, batch = _prefilled(decoder, prompt, plan)
    loop, tokens = DecodeLoop(limit), []
    loop.add(batch)
    while steps := loop.step():
        [(_, step)] = steps
        tokens.append(step.token)
        yield step
    yield Traced(run, batch, tokens, asked)


@torch.no_grad()
def trace_given(
    decoder: Decoder, prompt: Prompt, plan: PruningPlan, asked: Tensor, tokens: Sequence[int]
) -> Traced:
    """Let a known answer pass as a whole, which gives the same but for rounding."""
    run, batch = _prefilled(decoder, prompt, plan)
    if len(tokens) > 1:
        given = torch.tensor([tokens[:-1]], device=run.logits.device)
        advance([batch], [given], recording=True)
    return Traced(run, batch, list(tokens), asked)


def _prefilled(
    decoder: Decoder, prompt: Prompt, plan: PruningPlan
) -> tuple[PrefillRun, DecodeBatch]:
    plan = replace(plan, needs=plan.needs | {"transitions"})
    run = prefill(decoder, prompt, plan, trace=True)
    return run, DecodeBatch([run], keep_hidden_states=True)
