"""Use case: which patches TidalDecode and TokenSelect would read for every word of an answer.

The answer stays dense: it is told what each method would read, given the dense queries (observe
mode); beside it stands the answer that TidalDecode gives when it does read no more (apply mode).
Knows traced runs and both methods; not pages.
Letters: H heads, q steps, L layers, N patches, S keys.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from explorer.analyses.inside.describing import to_numpy
from explorer.analyses.inside.layer_keys import PICTURE, LayerKeys, carried, find
from explorer.analyses.inside.looking import cached_run, check_method, trace_again
from explorer.analyses.inside.records import Counts, KeyReads, SelectReads, TidalReads
from explorer.analyses.inside.sparse_decoding import SparseDecodeBatch
from explorer.analyses.inside.tracing import Traced
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case
from explorer.cases.generation import FULL, Generation
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.request import CaseRequest
from explorer.errors import BadMessage
from explorer.inference.attention_weights import without_positions
from explorer.inference.decode import DecodeLoop
from explorer.metrics import fidelity
from explorer.metrics.reading.counts import read_counts
from explorer.metrics.reading.tidaldecode import (
    ALL,
    VISUAL,
    Tidal,
    combined,
    heat,
    key_logits,
    mass,
    persistence,
    recall,
    top_keys,
)
from explorer.metrics.reading.tokenselect import (
    KV_MAPS,
    TokenSelect,
    cache_hits,
    chosen,
    criticality,
    smoothed,
    votes,
)

KEYS = 64  # read by default: a third of pico's patches


def _check_keys(
    request: CaseRequest, method: str, tidal: Tidal | int, select: TokenSelect | int, **_: object
) -> None:
    check_method(request, method)
    for settings in (tidal, select):
        keys = settings.keys if isinstance(settings, Tidal | TokenSelect) else settings
        if type(keys) is not int or keys < 1:
            sent = f"{keys!r:.40}"
            raise BadMessage(f"The keys that are read are a whole number from 1 on, not {sent}.")


@use_case(cost=GpuCost(answers=3), cached=cached_run("reads"), check=_check_keys)
def read_keys(
    request: CaseRequest,
    method: str = FULL,
    budget: int = 1,
    tidal: Tidal | int = KEYS,
    select: TokenSelect | int = KEYS,
    *,
    cache: ResultCache | None = None,
) -> KeyReads:
    """Tell which patches both methods would read at every step of an answer.

    method, budget: of the run that is looked at, "full" for all visual tokens. tidal, select: their
    settings, or only how many keys are read. Raises `VisitorError`.
    """
    case, traced, inside = trace_again(request, method, budget, cache)
    tidal = Tidal.of(traced.n_layers, tidal) if isinstance(tidal, int) else tidal
    select = TokenSelect(select) if isinstance(select, int) else select
    _check(tidal, select, traced.n_layers)
    keys = traced.cached_keys
    read = _tidal(case, traced, keys, tidal, inside.text)
    votes_of = _select(case, traced, keys, select)
    both = (read.heat[2] > 0) & (votes_of.heat > 0)
    coverage = both.sum(1) / np.maximum(1, (votes_of.heat > 0).sum(1))
    return KeyReads(read, votes_of, coverage)


def _check(tidal: Tidal, select: TokenSelect, n_layers: int) -> None:
    if not 0 <= tidal.start < tidal.correction < n_layers:
        raise BadMessage(
            f"Two layers choose, the first before the second, from 0 to {n_layers - 1}."
        )
    if tidal.scope not in (ALL, VISUAL):
        raise BadMessage("Which keys compete is “all” or “visual”.")
    if select.kv_map not in KV_MAPS or select.rope not in ("own", "n_local"):
        raise BadMessage("kv_map is “group” or “mod”, rope is “own” or “n_local”.")
    if select.smooth and (select.smooth < 1 or select.smooth % 2 == 0):
        raise BadMessage("smooth is an odd number of patches, or 0.")


# ---- TidalDecode ---------------------------------------------------------------------------------


def _tidal(
    case: Case, traced: Traced, keys: list[LayerKeys], tidal: Tidal, dense: str
) -> TidalReads:
    """Choose in two layers from the dense queries, and tell what the others would get of it."""
    steps, n_layers = traced.queries(0).shape[1], traced.n_layers
    chosen_in = {
        layer: top_keys(_logits(traced, layer), tidal.keys, _candidates(traced, keys, layer, tidal))
        for layer in (tidal.start, tidal.correction)
    }
    recalls, masses = torch.full((2, steps, n_layers), torch.nan)
    for layer in range(n_layers):
        source = tidal.source(layer)
        if source is None:
            continue
        logits, read = _logits(traced, layer), chosen_in[source]
        there, here = (_numbers(traced, keys, each) for each in (source, layer))
        read = carried(read, there, here)
        best = top_keys(logits, tidal.keys, _candidates(traced, keys, layer, tidal))
        recalls[:, layer] = recall(read, best).cpu()
        masses[:, layer] = mass(read, traced.rows(layer).later).cpu()
    maps = [
        heat(keys[layer].holding(chosen_in[layer])) for layer in (tidal.start, tidal.correction)
    ]
    maps.append(combined(*maps, tidal.segments(n_layers)))
    visual = [
        (chosen_in[layer] & (keys[layer].kinds(chosen_in[layer].shape[-1]) == PICTURE))
        for layer in (tidal.start, tidal.correction)
    ]
    text = _sparse_answer(case, traced, keys, tidal)
    return TidalReads(
        start=tidal.start,
        correction=tidal.correction,
        keys=tidal.keys,
        scope=tidal.scope,
        heat=to_numpy(torch.stack(maps)),
        visual=to_numpy(torch.stack([each.sum(-1).float().mean(0) for each in visual], 1)),
        recall=recalls.numpy(),
        mass=masses.numpy(),
        persistence=to_numpy(torch.stack([persistence(each) for each in chosen_in.values()], 1)),
        counts=_counts(maps[2]),
        everything=_all_read(tidal, keys, steps),
        text=text,
        agrees=fidelity.agrees(text, dense),
    )


def _all_read(tidal: Tidal, keys: list[LayerKeys], steps: int) -> bool:
    kinds = keys[tidal.start].kinds(len(keys[tidal.start].kind) + steps)
    compete = (kinds == PICTURE).sum() if tidal.scope == VISUAL else len(kinds)
    return tidal.keys >= int(compete)


def _logits(traced: Traced, layer: int) -> Tensor:
    """Give the logits [H, q, S] of all steps, -inf where a key is later than the step."""
    query, key = traced.queries(layer), traced.keys(layer)
    steps, length = query.shape[1], key.shape[1]
    logits = key_logits(query, key, traced.batch.scaling[layer])
    later = torch.ones(steps, length, dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(later.triu(length - steps + 1), -torch.inf)
    return logits.to(traced.run.text_visual_mask[layer].device)


def _numbers(traced: Traced, keys: list[LayerKeys], layer: int) -> Tensor:
    return keys[layer].numbers(traced.keys(layer).shape[1])


def _candidates(traced: Traced, keys: list[LayerKeys], layer: int, tidal: Tidal) -> Tensor | None:
    if tidal.scope == ALL:
        return None
    return keys[layer].kinds(traced.keys(layer).shape[1]) == PICTURE


def _sparse_answer(case: Case, traced: Traced, keys: list[LayerKeys], tidal: Tidal) -> str:
    """Answer anew behind the same prompt, reading only what is chosen."""
    loop, generation = DecodeLoop(case.vlm.max_new_tokens), Generation(case)
    loop.add(SparseDecodeBatch(traced.run, tidal, keys))
    while steps := loop.step():
        generation.add(steps[0][1])
    return generation.text.strip()


# ---- TokenSelect ---------------------------------------------------------------------------------


def _select(case: Case, traced: Traced, keys: list[LayerKeys], options: TokenSelect) -> SelectReads:
    """Let the heads of every layer vote which of the picture's keys a step reads."""
    found = [_select_layer(case, traced, keys, layer, options) for layer in range(traced.n_layers)]
    reads, vote, hits, masses = zip(*found, strict=True)
    heat_of_layers = torch.stack(reads).float().mean(0)
    n_visual = max(int((each.kind == PICTURE).sum()) for each in keys)
    return SelectReads(
        keys=options.keys,
        theta=options.theta,
        heat=to_numpy(heat_of_layers),
        votes=to_numpy(torch.stack(vote), np.float16),
        hits=np.array(hits, dtype=bool).T.reshape(len(heat_of_layers), traced.n_layers),
        mass=to_numpy(torch.stack(masses, 1)),
        counts=_counts(heat_of_layers),
        everything=options.keys >= n_visual,
    )


def _select_layer(
    case: Case, traced: Traced, keys: list[LayerKeys], layer: int, options: TokenSelect
) -> tuple[Tensor, Tensor, list[bool], Tensor]:
    """Give what is read [q, N], votes [q, N], hits [q], and the attention that is kept [q]."""
    own, device = keys[layer], keys[layer].kind.device
    visual = (own.kind == PICTURE).nonzero()[:, 0]
    query, key = (states.to(device) for states in (traced.queries(layer), traced.keys(layer)))
    steps, length = query.shape[1], key.shape[1]
    if not len(visual):
        nothing = torch.zeros(steps, len(own.patch_key), device=device)
        return nothing.bool(), nothing, [False] * steps, nothing.sum(1)
    asking, candidates = query, key[:, visual]
    if options.rope == "n_local":
        asking, candidates = _at_one_distance(case, traced, layer, query, candidates, own, options)
    vote = votes(criticality(asking, candidates, options.kv_map, options.scale))
    read = chosen(smoothed(vote, options.smooth), options.keys)
    hits, made = [], []
    for hit, step in cache_hits(query, options.theta):
        hits.append(hit)
        made.append(step)
    read = read[made]  # on a hit the old choice counts
    placed = torch.zeros(2, steps, length, device=vote.device)
    placed[0][:, visual], placed[1][:, visual] = read.float(), vote
    kept = mass(placed[0][None], traced.rows(layer).later)
    return own.holding(placed[0]) > 0, own.holding(placed[1]), hits, kept


def _at_one_distance(
    case: Case,
    traced: Traced,
    layer: int,
    query: Tensor,
    candidates: Tensor,
    own: LayerKeys,
    options: TokenSelect,
) -> tuple[Tensor, Tensor]:
    """Take the positions off queries and keys, and put every query at `n_local`."""
    body, entered = case.decoder.body, traced.run.trace[layer]
    visual = entered.text_visual_mask[1] > 0
    at, _ = find(entered.token_id, own.number[own.kind == PICTURE])
    positions = entered.position_ids[..., visual][..., at]
    axes = traced.run.position_axes
    ahead = torch.arange(query.shape[1], device=positions.device)
    of_queries = (traced.run.next_position[layer] + ahead).expand(*axes, 1, -1)
    bare_query = without_positions(query, body.rotary_emb(query, of_queries))
    bare_keys = without_positions(candidates, body.rotary_emb(query, positions))
    there = torch.full_like(of_queries, options.n_local)
    turned, _ = apply_rotary_pos_emb(
        bare_query[None],
        bare_query[None],
        *(each.float() for each in body.rotary_emb(query, there)),
    )
    return turned[0], bare_keys


def _counts(of_steps: Tensor) -> Counts:
    found = read_counts(of_steps)
    return Counts(to_numpy(found.often), to_numpy(found.first, np.int32), found.union)
