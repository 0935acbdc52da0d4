"""How far an answer after pruning is from the answer with all visual tokens.

Knows logits and texts, not pictures, methods or models. No pruning paper fixes these measures: the
definitions are ours, and built so that 0 (or "agrees") means that pruning changed nothing. Letters:
G tokens of the answer, V vocabulary. Logarithms are natural; everything is computed in float32.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

ARTICLES = frozenset({"a", "an", "the"})
APOSTROPHES = re.compile(r"['’ʼ]")


def probability(logits: Tensor, tokens: Sequence[int]) -> float:
    """Give the probability of a whole answer: the product over its tokens. Our definition.

    logits [G, V]: row g is what the model said before token g. ValueError if the rows don't match
    the tokens.
    """
    return float(_log_probabilities(logits, tokens).sum().exp())


def log_probability_loss(
    full_logits: Tensor, pruned_logits: Tensor, tokens: Sequence[int]
) -> float:
    """Give the log-probability that pruning takes from the full answer, nats per token (dLP).

    The mean of `token_losses`; negative where pruning makes that answer likelier. Our definition.
    """
    return float(token_losses(full_logits, pruned_logits, tokens).mean())


def token_losses(full_logits: Tensor, pruned_logits: Tensor, tokens: Sequence[int]) -> Tensor:
    """Give the log-probability that pruning takes from each token of the full answer, [G] in nats.

    log p_full(y_g) - log p_pruned(y_g), each given the full answer y before it, so that one sees
    which word broke. Our definition. full_logits, pruned_logits [G, V]; ValueError if the rows
    don't match the tokens.
    """
    full = _log_probabilities(full_logits, tokens)
    return full - _log_probabilities(pruned_logits, tokens)


def kl(full_logits: Tensor, pruned_logits: Tensor) -> Tensor:
    """Give KL(full || pruned) over the whole vocabulary at every position, in nats.

    sum_v p_full log(p_full / p_pruned): the full model comes first, so that lost mass is punished.
    Using it to judge pruning is our choice. full_logits, pruned_logits [G, V] -> [G] float32, never
    below 0. ValueError if the shapes differ.
    """
    if full_logits.shape != pruned_logits.shape:
        raise ValueError(f"logits {tuple(full_logits.shape)} and {tuple(pruned_logits.shape)}")
    full = full_logits.float().log_softmax(-1)
    pruned = pruned_logits.float().log_softmax(-1)
    share = full.exp()
    # A token that the full model rules out adds nothing, even where log(0) meets log(0).
    terms = torch.where(share > 0, share * (full - pruned), torch.zeros_like(share))
    return terms.sum(-1).clamp_min(0)


def normalise(text: str) -> str:
    """Write an answer in lower case without punctuation and articles, with single spaces.

    A hyphen parts two words, an apostrophe doesn't. An answer that is nothing but an article stays:
    "A" is a choice, too.
    """
    text = APOSTROPHES.sub("", text.lower())
    words = "".join(" " if unicodedata.category(c).startswith("P") else c for c in text).split()
    return " ".join([word for word in words if word not in ARTICLES] or words)


def agrees(a: str, b: str) -> bool:
    """Tell whether two answers are the same once normalised. Not accuracy: both may be wrong."""
    return normalise(a) == normalise(b)


def overlap(a: Iterable[int], b: Iterable[int], k: int) -> float:
    """Give the share of K kept tokens that two kept sets have in common: |A n B| / K."""
    return len(_tokens(a) & _tokens(b)) / k


def _tokens(kept: Iterable[int]) -> set[int]:
    """Make a set of numbers; elements of a tensor would all count as different."""
    return {int(token) for token in kept}


def _log_probabilities(logits: Tensor, tokens: Sequence[int]) -> Tensor:
    """Look up the log-probability of every token: logits [G, V], G tokens -> [G]."""
    if len(logits) != len(tokens) or not tokens:
        raise ValueError(f"{len(logits)} rows of logits for {len(tokens)} tokens")
    index = torch.tensor(list(tokens), device=logits.device)[:, None]
    return logits.float().log_softmax(-1).gather(1, index)[:, 0]
