"""How probable an answer is while some visual tokens are absent or replaced, for many rows at once.

f = log-probability of an answer or of a span of it, teacher-forced, natural logarithm, without EOS.
Absent tokens are dropped; the others keep their positions, or are counted anew as methods with
POSITIONS = "renumber" do. Runs the language model only; does not know what is made of the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from explorer.inference.llm_layers import MAX_PACKED_TOKENS, pack_by_length
from explorer.inference.sequence import Prompt
from explorer.vlm.components import Decoder
from explorer.vlm.threads import parallel


def no_progress(rows: int) -> None:
    """Tell nobody that some rows have been evaluated."""


@dataclass(frozen=True)
class AblationRows:
    """Which positions of the prompt and answer pass through the layers, row by row.

    at [B, M]: places, ascending, behind the shared prefix of `start` positions; mask: what sdpa
    shows to whom, [B, 1, M, start + M]; cos_sin: their rotary embedding.
    """

    start: int
    at: Tensor
    mask: Tensor
    cos_sin: tuple[Tensor, Tensor]


class AblationScorer:
    """One prompt and one answer y_1..y_G of it; N visual tokens, S positions with the answer.

    span: the tokens a..b-1 of the answer that count, given all before them; None for all of it.
    renumber: whether those that stay are counted anew when others are absent. lanes: how many parts
    of a batch of rows are passed at the same time; see threads.py.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompt: Prompt,
        answer: Sequence[int],
        span: tuple[int, int] | None = None,
        renumber: bool = False,
        lanes: int = 1,
    ):
        tokens = [int(token) for token in answer if int(token) not in decoder.eos]
        first, last = span or (0, len(tokens))
        if not 0 <= first < last <= len(tokens):
            raise ValueError("an empty answer can't be explained")
        self.decoder, self.visual, self.lanes = decoder, prompt.visual_positions, lanes
        self.renumber = renumber and prompt.position_ids.dim() == 2  # as the engine does
        device = prompt.inputs_embeds.device
        self.answer = torch.tensor(tokens[first:last], device=device)
        before = torch.tensor(tokens[: last - 1], dtype=torch.long, device=device)
        with torch.no_grad():
            said = decoder.body.embed_tokens(before[None]).to(prompt.inputs_embeds.dtype)
            self.embeds = torch.cat([prompt.inputs_embeds, said], 1)
            ahead = torch.arange(1, last, device=device)
            after = (prompt.position_ids[..., -1].max() + ahead).expand(
                *prompt.position_ids.shape[:-1], -1
            )
            positions = torch.cat([prompt.position_ids, after], -1)
            self.cos_sin = decoder.body.rotary_emb(self.embeds, positions)
        self.deepstack = [self._everywhere(rows) for rows in prompt.deepstack]
        self._whole: DynamicCache | None = None

    def _everywhere(self, rows: Tensor) -> Tensor:
        """Write what is added to the visual tokens behind a layer (DeepStack) as [1, S, D]."""
        spread = torch.zeros_like(self.embeds)
        spread[0, self.visual] = rows.to(spread.dtype)
        return spread

    @property
    def tokens(self) -> Tensor:
        """The visual tokens [1, N, D] as the language model gets them."""
        return self.embeds[:, self.visual]

    @torch.no_grad()
    def without(self, present: Tensor, done: Callable[[int], None] = no_progress) -> Tensor:
        """Give f [B] while only some tokens are present: [B, N], zero where one is absent.

        What stands before the first absent token can't see it, so that part is computed once.
        done: told how many rows have been evaluated since it was told last.
        """
        there = present.to(self.embeds.device) > 0.5
        parts = self._parts(there)
        self._prefix(0, 1)  # before several lanes ask for it
        found = {}
        for number, part in parallel(self._each, enumerate(parts), min(self.lanes, len(parts))):
            found[number] = part
            done(len(part))
        return torch.cat([found[number] for number in range(len(parts))]).to(present.device)

    def _parts(self, present: Tensor) -> list[Tensor]:
        """Cut rows into parts that are passed at once, enough of them for all lanes."""
        absent, count = ~present, present.sum(1)
        before = torch.where(absent.any(1), absent.to(torch.uint8).argmax(1), count)
        passed = count - before + self.embeds.shape[1] - present.shape[1]  # the prefix has the rest
        most = min(MAX_PACKED_TOKENS, -(-int(passed.sum()) // self.lanes))
        rows = pack_by_length(range(len(present)), passed.tolist().__getitem__, most)
        return [present[some] for some in rows]

    @torch.no_grad()
    def _each(self, parts: Iterator[tuple[int, Tensor]]) -> Iterator[tuple[int, Tensor]]:
        for number, present in parts:
            rows = self._rows(present)
            x = self.embeds[0, rows.at]
            yield number, self._score(self._pass(x, rows, self._prefix(rows.start, len(x))))

    def _rows(self, present: Tensor) -> AblationRows:
        total, device = self.embeds.shape[1], present.device
        gaps = (~present).any(0).nonzero()[:, 0]
        start = int(self.visual[gaps[0]]) if len(gaps) else total - len(self.answer)
        stays = torch.ones(len(present), total, dtype=torch.bool, device=device)
        stays[:, self.visual] = present
        stays = stays[:, start:]
        most = int(stays.sum(1).max())
        # Those that stay come last; a row with fewer of them begins with absent ones, which only
        # see themselves and the prefix, and which nobody sees.
        at = stays.to(torch.uint8).argsort(dim=1, stable=True)[:, -most:]
        alive = stays.gather(1, at)
        causal = torch.ones(most, most, dtype=torch.bool, device=device).tril()
        alone = torch.eye(most, dtype=torch.bool, device=device)
        among = (causal & alive[:, None, :]) | alone
        mask = torch.cat([among.new_ones(len(at), most, start), among], -1)[:, None]
        return AblationRows(start, at + start, mask, self._turned(at + start, alive, start))

    def _turned(self, at: Tensor, alive: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Give the rotary embedding of places [B, M], or of a new count of those alive."""
        if not self.renumber:
            return tuple(turn[0, at] for turn in self.cos_sin)
        count = (start + alive.cumsum(1) - 1).clamp(min=0)
        return self.decoder.body.rotary_emb(self.embeds, count)

    def replaced(self, tokens: Tensor) -> Tensor:
        """Give f [B] with other visual tokens [B, N, D]; differentiable."""
        x = self.embeds.expand(len(tokens), -1, -1).clone()
        x[:, self.visual] = tokens.to(x.dtype)
        return self._score(self._pass(x, self._all(), None))

    def _all(self) -> AblationRows:
        total, device = self.embeds.shape[1], self.embeds.device
        causal = torch.ones(total, total, dtype=torch.bool, device=device).tril()
        at = torch.arange(total, device=device)[None]
        return AblationRows(0, at, causal[None, None], self.cos_sin)

    def _pass(self, x: Tensor, rows: AblationRows, cache: DynamicCache | None) -> Tensor:
        """Run all layers; gives the hidden states of the rows that predict the answer alone."""
        *layers, last = self.decoder.body.layers
        how = {"cache": cache, "use_cache": cache is not None}
        for index, layer in enumerate(layers):
            x = layer(x, attention_mask=rows.mask, position_embeddings=rows.cos_sin, **how)
            if index < len(self.deepstack):
                x = x + self.deepstack[index][0, rows.at]
        early = x.shape[1] - len(self.answer)
        mask, cos_sin = rows.mask, rows.cos_sin
        if cache is not None and early > 0:
            # In the last layer all others only have to be seen.
            turned = tuple(turn[..., :early, :] for turn in cos_sin)
            cache.update(*_keys_and_values(last, x[:, :early], turned), len(layers))
            x, mask, early = x[:, early:], mask[:, :, early:], 0
            cos_sin = tuple(turn[..., -x.shape[1] :, :] for turn in cos_sin)
        return last(x, attention_mask=mask, position_embeddings=cos_sin, **how)[:, early:]

    def _prefix(self, start: int, rows: int) -> DynamicCache:
        """Give the caches of everything before `start`, once for each row."""
        if self._whole is None:
            self._whole = DynamicCache(config=self.decoder.body.config)
            self._pass(self.embeds, self._all(), self._whole)
        cache = DynamicCache(config=self.decoder.body.config)
        for index, layer in enumerate(self._whole.layers):
            keys, values = (
                t[:, :, :start].expand(rows, -1, -1, -1) for t in (layer.keys, layer.values)
            )
            cache.update(keys, values, index)
        return cache

    def _score(self, x: Tensor) -> Tensor:
        logits = self.decoder.head(self.decoder.body.norm(x)).float()
        rows = self.answer.expand(len(logits), -1)[..., None]
        return logits.log_softmax(-1).gather(2, rows)[..., 0].sum(1)


def _keys_and_values(
    layer: nn.Module, x: Tensor, cos_sin: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Give keys, with their positions in them, and values, [B, Hkv, S, d], of a layer's input."""
    attention = layer.self_attn
    shape = (*x.shape[:2], -1, attention.head_dim)
    h = layer.input_layernorm(x)
    keys, norm = attention.k_proj(h).view(shape), getattr(attention, "k_norm", None)
    keys = (keys if norm is None else norm(keys)).transpose(1, 2)
    keys, _ = apply_rotary_pos_emb(keys, keys, *cos_sin)
    return keys, attention.v_proj(h).view(shape).transpose(1, 2)
