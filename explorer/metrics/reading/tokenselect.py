"""TokenSelect: all heads of a layer vote which keys a decoding step reads.

Wu, Pan, Fu, Wang, Chen, Bai, Wang, Wang, Xiong, "TokenSelect: Efficient Long-Context Inference and
Length Extrapolation for LLMs via Dynamic Token-Level KV Cache Selection", EMNLP 2025, arXiv
2411.02886. Official code: pzs19/TokenSelect @8e1e97f03e4e, patcher/token_retrieval.py. Knows
queries and keys; not models, pictures or answers.
Letters: H query heads, Hkv key heads, q steps, C candidates, k of them to be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, max_pool1d

KV_MAPS = ("group", "mod")
N_LOCAL = 512  # the authors' position of every query, counted from the candidates


@dataclass(frozen=True)
class TokenSelect:
    """keys: k of a layer's candidates. theta: from which cosine on an old choice is kept.

    kv_map: which key head a query head looks at; "group" as the model does, "mod" as the authors'
    kernel does. rope: "own" positions, or "n_local", keys without any and the query at `n_local`.
    scale: divide by sqrt(d), which the paper doesn't. smooth: an odd window within which a vote
    counts for its neighbours; 0 for none.
    """

    keys: int
    theta: float = 0.9
    kv_map: str = "group"
    rope: str = "own"
    n_local: int = N_LOCAL
    scale: bool = False
    smooth: int = 0


def criticality(query: Tensor, key: Tensor, kv_map: str = "group", scale: bool = False) -> Tensor:
    """Give the products of queries [H, q, d] and candidates' keys [Hkv, C, d], [H, q, C].

    In float32 and without 1 / sqrt(d), as published, unless `scale`.
    """
    H, Hkv = query.shape[0], key.shape[0]
    head = torch.arange(H, device=key.device)
    used = key[head % Hkv if kv_map == "mod" else head // (H // Hkv)]
    products = query.float() @ used.float().transpose(1, 2)
    return products * query.shape[-1] ** -0.5 if scale else products


def votes(products: Tensor) -> Tensor:
    """Add up, over heads, the softmax over candidates: [q, C] from 0 to H, H in all."""
    return products.softmax(-1).sum(0)


def smoothed(vote: Tensor, window: int) -> Tensor:
    """Let a vote [q, C] count for its neighbours in an odd window, the largest winning; 0: as is.

    Candidates stand in raster order, so that neighbours are those of a row.
    """
    if not window:
        return vote
    return max_pool1d(vote[:, None], window, stride=1, padding=window // 2)[:, 0]


def chosen(vote: Tensor, k: int) -> Tensor:
    """Tell which candidates are read: true for the k with most votes, [q, C]; ties go first."""
    order = vote.argsort(dim=-1, descending=True, stable=True)[..., :k]
    return torch.zeros_like(vote, dtype=torch.bool).scatter_(-1, order, True)


def cache_hits(query: Tensor, theta: float) -> Iterator[tuple[bool, int]]:
    """Tell of every step whether it keeps an old choice, and the step that made the one it uses.

    query [H, q, d] of one layer. The query that is compared is the one that made the choice; the
    first step never has one.
    """
    joined, made = query.float().transpose(0, 1).flatten(1), 0
    for step, now in enumerate(joined):
        hit = step > 0 and bool(cosine_similarity(now, joined[made], dim=0) >= theta)
        made = made if hit else step
        yield hit, made
