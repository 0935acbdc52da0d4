"""How probable an answer is while some visual tokens are absent or replaced, for many rows at once.

f = log-probability of an answer or of a span of it, teacher-forced, natural logarithm, without EOS.
Absent tokens are dropped; the others keep their positions, or are counted anew as methods with
POSITIONS = "renumber" do. Runs the language model only; does not know what is made of the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from explorer.inference.attention_weights import keys_and_values
from explorer.inference.gradients import yield_turn_backwards
from explorer.inference.llm_layers import MAX_PACKED_TOKENS, pack_by_length
from explorer.inference.sequence import Prompt, embed_with_answer
from explorer.vlm.components import Decoder
from explorer.vlm.threads import parallel


def no_progress(rows: int) -> None:
    """Tell nobody that some rows have been evaluated."""


@dataclass(frozen=True)
class AblationRows:
    """Which positions of the prompt and answer pass through the layers, row by row.

    index [B, M]: where they stand in prompt and answer, ascending, behind the shared prefix of
    `start` tokens; attention_mask [B, 1, M, start + M]: true where sdpa lets a query see a key;
    cos_sin: the rotary embedding of their positions.
    """

    start: int
    index: Tensor
    attention_mask: Tensor
    cos_sin: tuple[Tensor, Tensor]


class AblationScorer:
    """One prompt and one answer y_1..y_G of it; N visual tokens, S positions with the answer.

    span: the tokens a..b-1 of the answer that count, given all before them; None for all of it.
    renumber: whether those that stay are counted anew when others are absent. n_threads: how many
    parts of a batch of rows are passed at the same time; see threads.py.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompt: Prompt,
        answer: Sequence[int],
        span: tuple[int, int] | None = None,
        renumber: bool = False,
        n_threads: int = 1,
    ):
        tokens = [int(token) for token in answer if int(token) not in decoder.eos]
        first, last = span or (0, len(tokens))
        if not 0 <= first < last <= len(tokens):
            raise ValueError("an empty answer can't be explained")
        self.decoder, self.n_threads = decoder, n_threads
        self.visual_positions = prompt.visual_positions
        self.renumber = renumber and prompt.position_ids.dim() == 2  # as the engine does
        self.answer_ids = torch.tensor(tokens[first:last], device=prompt.inputs_embeds.device)
        self.inputs_embeds, self.cos_sin = embed_with_answer(
            decoder.body, prompt, tokens[: last - 1]
        )
        self.deepstack = [self._padded_deepstack(rows) for rows in prompt.deepstack]
        self._full_cache: DynamicCache | None = None

    def _padded_deepstack(self, rows: Tensor) -> Tensor:
        """Give what a layer adds to the visual tokens (DeepStack) as [1, S, D], zero elsewhere."""
        padded = torch.zeros_like(self.inputs_embeds)
        padded[0, self.visual_positions] = rows.to(padded.dtype)
        return padded

    @property
    def tokens(self) -> Tensor:
        """The visual tokens [1, N, D] as the language model gets them."""
        return self.inputs_embeds[:, self.visual_positions]

    @torch.no_grad()
    def log_prob_ablated(
        self, present: Tensor, done: Callable[[int], None] = no_progress
    ) -> Tensor:
        """Give f [B] while only some tokens are present: [B, N], zero where one is absent.

        What stands before the first absent token can't see it, so that part is computed once.
        done: told how many rows have been evaluated since it was told last.
        """
        parts = self._parts(present.to(self.inputs_embeds.device) > 0.5)
        self._prefix_cache(0, 1)  # before several threads ask for it
        log_probs: dict[int, Tensor] = {}
        n_threads = min(self.n_threads, len(parts))
        for number, part in parallel(self._score_parts, enumerate(parts), n_threads):
            log_probs[number] = part
            done(len(part))
        return torch.cat([log_probs[number] for number in range(len(parts))]).to(present.device)

    def _parts(self, present: Tensor) -> list[Tensor]:
        """Cut rows into parts that are passed at once, enough of them for all threads."""
        absent, count = ~present, present.sum(1)
        before = torch.where(absent.any(1), absent.to(torch.uint8).argmax(1), count)
        # what stands before the first absent token comes from the shared cache
        lengths = count - before + self.inputs_embeds.shape[1] - present.shape[1]
        max_length = min(MAX_PACKED_TOKENS, -(-int(lengths.sum()) // self.n_threads))
        packs = pack_by_length(range(len(present)), lengths.tolist().__getitem__, max_length)
        return [present[pack] for pack in packs]

    @torch.no_grad()
    def _score_parts(self, parts: Iterator[tuple[int, Tensor]]) -> Iterator[tuple[int, Tensor]]:
        for number, present in parts:
            rows = self._rows(present)
            cache = self._prefix_cache(rows.start, len(present))
            hidden_states = self._forward(self.inputs_embeds[0, rows.index], rows, cache)
            yield number, self._log_prob(hidden_states)

    def _rows(self, present: Tensor) -> AblationRows:
        total, device = self.inputs_embeds.shape[1], present.device
        absent = (~present).any(0).nonzero()[:, 0]
        start = (
            int(self.visual_positions[absent[0]]) if len(absent) else total - len(self.answer_ids)
        )
        stays = torch.ones(len(present), total, dtype=torch.bool, device=device)
        stays[:, self.visual_positions] = present
        stays = stays[:, start:]
        longest = int(stays.sum(1).max())
        # Those that stay come last; a row with fewer of them begins with absent ones, which only
        # see themselves and the prefix, and which nobody sees.
        index = stays.to(torch.uint8).argsort(dim=1, stable=True)[:, -longest:]
        alive = stays.gather(1, index)
        index = index + start
        causal = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
        itself = torch.eye(longest, dtype=torch.bool, device=device)
        mask = (causal & alive[:, None, :]) | itself
        mask = torch.cat([mask.new_ones(len(index), longest, start), mask], -1)[:, None]
        return AblationRows(start, index, mask, self._position_embeddings(index, alive, start))

    def _position_embeddings(
        self, index: Tensor, alive: Tensor, start: int
    ) -> tuple[Tensor, Tensor]:
        """Give cos and sin of the tokens at index [B, M], or of a new count of those alive."""
        if not self.renumber:
            cos, sin = self.cos_sin
            return cos[0, index], sin[0, index]
        position_ids = (start + alive.cumsum(1) - 1).clamp(min=0)
        return self.decoder.body.rotary_emb(self.inputs_embeds, position_ids)

    def log_prob_replaced(self, tokens: Tensor) -> Tensor:
        """Give f [B] with other visual tokens [B, N, D]; differentiable."""
        inputs_embeds = self.inputs_embeds.expand(len(tokens), -1, -1).clone()
        inputs_embeds[:, self.visual_positions] = tokens.to(inputs_embeds.dtype)
        return self._log_prob(self._forward(inputs_embeds, self._all_present(), None))

    def _all_present(self) -> AblationRows:
        total, device = self.inputs_embeds.shape[1], self.inputs_embeds.device
        causal = torch.ones(total, total, dtype=torch.bool, device=device).tril()
        index = torch.arange(total, device=device)[None]
        return AblationRows(0, index, causal[None, None], self.cos_sin)

    def _forward(
        self, hidden_states: Tensor, rows: AblationRows, cache: DynamicCache | None
    ) -> Tensor:
        """Run all layers; gives the hidden states only of the tokens that predict the answer."""
        *layers, last = self.decoder.body.layers
        mask, cos_sin = rows.attention_mask, rows.cos_sin
        cache_kwargs = {"cache": cache, "use_cache": cache is not None}
        for index, layer in enumerate(layers):
            hidden_states = layer(
                hidden_states, attention_mask=mask, position_embeddings=cos_sin, **cache_kwargs
            )
            if index < len(self.deepstack):
                hidden_states = hidden_states + self.deepstack[index][0, rows.index]
            yield_turn_backwards(hidden_states)
        early = hidden_states.shape[1] - len(self.answer_ids)
        if cache is not None and early > 0:
            # in the last layer earlier tokens are only seen: their queries aren't needed
            cos, sin = cos_sin
            early_cos_sin = cos[..., :early, :], sin[..., :early, :]
            keys, values = keys_and_values(last, hidden_states[:, :early], early_cos_sin)
            cache.update(keys, values, len(layers))
            hidden_states, mask = hidden_states[:, early:], mask[:, :, early:]
            cos_sin = cos[..., early:, :], sin[..., early:, :]
            early = 0
        hidden_states = last(
            hidden_states, attention_mask=mask, position_embeddings=cos_sin, **cache_kwargs
        )
        return hidden_states[:, early:]

    def _prefix_cache(self, start: int, n_rows: int) -> DynamicCache:
        """Give the caches of everything before `start`, once for each row."""
        if self._full_cache is None:
            self._full_cache = DynamicCache(config=self.decoder.body.config)
            self._forward(self.inputs_embeds, self._all_present(), self._full_cache)
        cache = DynamicCache(config=self.decoder.body.config)
        for index, layer in enumerate(self._full_cache.layers):
            keys, values = (
                states[:, :, :start].expand(n_rows, -1, -1, -1)
                for states in (layer.keys, layer.values)
            )
            cache.update(keys, values, index)
        return cache

    def _log_prob(self, hidden_states: Tensor) -> Tensor:
        logits = self.decoder.head(self.decoder.body.norm(hidden_states)).float()
        answer_ids = self.answer_ids.expand(len(logits), -1)[..., None]
        return logits.log_softmax(-1).gather(2, answer_ids)[..., 0].sum(1)
