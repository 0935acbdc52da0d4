"""One map of an answer's inside at a time: what a picture shows, word by word.

Knows what is kept of runs; not pages.
"""

from __future__ import annotations

import numpy as np

from explorer.analyses.inside.looking import attention_of_heads, look_inside, roll_out
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.request import CaseRequest
from explorer.errors import BadMessage

WHAT = ("attention", "rollout", "norm", "change", "tower", "token")
ALL = -1  # the mean over layers or heads


def patch_map(
    request: CaseRequest,
    method: str = FULL,
    budget: int = 1,
    what: str = "attention",
    layer: int = ALL,
    head: int = ALL,
    *,
    cache: ResultCache | None = None,
) -> np.ndarray:
    """Give a number for every patch, [G, N] of every word of the answer, or [N] where words share.

    what: "attention" of a layer and one of its heads, or means; "rollout" through all layers;
    "norm" of a layer's tokens; "change" of tokens in a layer (TransPrune's transitions); "tower"
    and "token", norms before the language model. NaN where nothing stands for a patch. Raises
    `VisitorError`.
    """
    if what not in WHAT:
        raise BadMessage(f"A map shows one of {', '.join(WHAT)}.")
    if what == "rollout":
        return roll_out(request, method, budget, cache=cache)
    inside = look_inside(request, method, budget, cache=cache)
    if what in ("tower", "token"):
        return inside.tower_norms if what == "tower" else inside.token_norms
    limits = ((layer, len(inside.entering)), (head, inside.heads))
    if not all(type(each) is int and ALL <= each < limit for each, limit in limits):
        layers, heads = (limit - 1 for _, limit in limits)
        raise BadMessage(
            f"Layers are whole numbers from 0 to {layers}, heads 0 to {heads}; -1 is the mean."
        )
    if what == "attention" and head != ALL:
        if layer == ALL:
            raise BadMessage("A head is one of a layer: name the layer, too.")
        return attention_of_heads(request, method, budget, layer, cache=cache)[head]
    values = {"attention": inside.attention, "norm": inside.norms, "change": inside.changes}[what]
    return values[layer] if layer != ALL else _mean(values, counts_gone=what == "attention")


def _mean(values: np.ndarray, counts_gone: bool) -> np.ndarray:
    """Average over layers [L, ...]; who has left one gets nothing there, or isn't counted there."""
    there = np.isfinite(values)
    total = np.where(there, values, 0).sum(0, dtype=np.float32)
    n = len(values) if counts_gone else np.maximum(1, there.sum(0))
    return np.where(there.any(0), total / n, np.nan)
