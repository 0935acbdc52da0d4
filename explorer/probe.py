"""How probable an answer is while some visual tokens are absent or replaced, for many rows at once.

f = log-probability of the whole answer, teacher-forced, natural logarithm, without EOS. Absent
tokens are masked and the others keep their positions, which equals dropping them. Runs the language
model only; does not know what is made of the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from explorer.families.parts import Decoder
from explorer.sequence import Prompt, deepened


class Probe:
    """One prompt and one answer y_1..y_G of it; N visual tokens, S positions with the answer."""

    def __init__(self, decoder: Decoder, prompt: Prompt, answer: Sequence[int]):
        tokens = [int(token) for token in answer if int(token) not in decoder.eos]
        if not tokens:
            raise ValueError("an empty answer can't be explained")
        self.decoder, self.visual, self.deep = decoder, prompt.visual, prompt.deep
        device = prompt.embeds.device
        self.answer = torch.tensor(tokens, device=device)
        with torch.no_grad():
            said = decoder.body.embed_tokens(self.answer[None, :-1]).to(prompt.embeds.dtype)
            self.embeds = torch.cat([prompt.embeds, said], 1)
            ahead = torch.arange(1, len(tokens), device=device)
            after = (prompt.positions[..., -1].max() + ahead).expand(
                *prompt.positions.shape[:-1], -1
            )
            positions = torch.cat([prompt.positions, after], -1)
            self.cos_sin = decoder.body.rotary_emb(self.embeds, positions)
        self.first = prompt.embeds.shape[1] - 1  # the row that predicts the first answer token
        self._whole: DynamicCache | None = None

    @property
    def tokens(self) -> Tensor:
        """The visual tokens [1, N, D] as the language model gets them."""
        return self.embeds[:, self.visual]

    @torch.no_grad()
    def without(self, present: Tensor) -> Tensor:
        """Give f [B] while only some tokens are present: [B, N], zero where one is absent.

        What stands before the first absent token can't see it, so that part is computed once.
        """
        present = present > 0.5
        gaps = (~present).any(0).nonzero()[:, 0]
        start = int(self.visual[gaps[0]]) if len(gaps) else self.first
        rows, total = present.shape[0], self.embeds.shape[1]
        seen = torch.ones(rows, total, dtype=torch.bool, device=present.device)
        seen[:, self.visual] = present
        at = torch.arange(total, device=present.device)
        # an absent token still sees itself: a row without any key would be NaN
        open_ = (at[start:, None] >= at) & seen[:, None, :] | (at[start:, None] == at)
        x = self.embeds[:, start:].expand(rows, -1, -1)
        return self._score(self._pass(x, open_[:, None], start, self._prefix(start, rows)), start)

    def replaced(self, tokens: Tensor) -> Tensor:
        """Give f [B] with other visual tokens [B, N, D]; differentiable."""
        rows = tokens.shape[0]
        x = self.embeds.expand(rows, -1, -1).clone()
        x[:, self.visual] = tokens.to(x.dtype)
        total = x.shape[1]
        causal = torch.ones(total, total, dtype=torch.bool, device=x.device).tril()
        return self._score(self._pass(x, causal[None, None], 0, None), 0)

    def _pass(self, x: Tensor, mask: Tensor, start: int, cache: DynamicCache | None) -> Tensor:
        cos_sin = tuple(turn[:, start:] for turn in self.cos_sin)
        shown = self.visual >= start
        for index, layer in enumerate(self.decoder.body.layers):
            x = layer(
                x,
                attention_mask=mask,
                position_embeddings=cos_sin,
                cache=cache,
                use_cache=cache is not None,
            )
            if index < len(self.deep):
                x = deepened(x, self.deep[index][shown], self.visual[shown] - start)
        return x

    def _prefix(self, start: int, rows: int) -> DynamicCache:
        """Give the caches of everything before `start`, once for each row."""
        if self._whole is None:
            self._whole = DynamicCache(config=self.decoder.body.config)
            self._pass(self.embeds, None, 0, self._whole)
        cache = DynamicCache(config=self.decoder.body.config)
        for index, layer in enumerate(self._whole.layers):
            keys, values = (
                t[:, :, :start].expand(rows, -1, -1, -1) for t in (layer.keys, layer.values)
            )
            cache.update(keys, values, index)
        return cache

    def _score(self, x: Tensor, start: int) -> Tensor:
        body = self.decoder.body
        logits = self.decoder.head(body.norm(x[:, self.first - start :])).float()
        rows = self.answer.expand(len(logits), -1)[..., None]
        return logits.log_softmax(-1).gather(2, rows)[..., 0].sum(1)
