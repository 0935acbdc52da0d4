"""TidalDecode inside a whole tiny language model, and TokenSelect's retriever over given keys."""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.analyses.inside.layer_keys import cached_keys
from explorer.analyses.inside.sparse_decoding import SparseDecodeBatch
from explorer.inference.decode import DecodeLoop
from explorer.inference.prefill import prefill
from explorer.metrics.reading.tidaldecode import Tidal, key_logits, top_keys
from explorer.metrics.reading.tokenselect import cache_hits, chosen, criticality, smoothed, votes
from explorer.vlm.components import Decoder
from parity.reading import LOGITS, Golden, assert_close, recorded_prompt, tiny_llama


def run_tidaldecode(golden: Golden) -> None:
    """Apply mode, all keys competing: logits, chosen keys, and the answer of every step."""
    model, prompt = tiny_llama(golden), recorded_prompt(golden)
    decoder = Decoder(model.get_decoder(), model.lm_head, frozenset())
    run = prefill(decoder, prompt, trace=True)
    asked = torch.zeros(run.length[0] - run.n_visual[0], dtype=torch.bool)
    keys = cached_keys(run, asked)
    m = int(golden["top_k"])
    tidal = Tidal(int(golden["sparse_layer_start"]), int(golden["correction_layer"]), m)
    batch = SparseDecodeBatch(run, tidal, keys)
    loop, steps = DecodeLoop(len(golden["logits_last"])), []
    loop.add(batch)
    while found := loop.step():
        steps.append(found[0][1])
    logits = torch.stack([step.logits for step in steps])
    assert (logits - golden["logits_last"]).abs().max() < LOGITS
    answer = golden["greedy_tokens"].tolist()
    assert [step.token for step in steps][: len(answer)] == answer
    for j, layer in enumerate((tidal.start, tidal.correction)):
        query = torch.cat(batch.queries[layer], 2)[0]
        key, before = batch.cache.layers[layer].keys[0], run.length[layer]
        for t in range(len(answer)):
            seen = key[:, : before + t + 1]
            found = key_logits(query[:, t : t + 1], seen, batch.scaling[layer])
            official = golden[f"qk_logits_step{t}_sel{j}"]
            assert (found[:, 0] - official).abs().max() < LOGITS  # behind layers of a whole model
            read = top_keys(found, m)[:, 0]
            official = golden[f"topk_idx_step{t}_sel{j}"]
            assert [row.nonzero()[:, 0].tolist() for row in read] == official.tolist()
            visual = read[:, keys[layer].patch_key]
            assert torch.equal(visual, golden[f"visual_read_step{t}_sel{j}"])


def run_tokenselect(golden: Golden) -> None:
    """Keys without positions, the query at n_local, key heads by h mod H_kv, as the code has it."""
    queries, keys, new = golden["queries"], golden["keys"], golden["new_keys"]
    n_init, n_local, k = (int(golden[name]) for name in ("n_init", "n_local", "top_k"))
    start, n = int(golden["n_sys"]), int(golden["n_visual"])
    smooth = max(0, int(golden["kernel_size"]))
    for t, query in enumerate(queries):
        keys = torch.cat([keys, new[t : t + 1]])
        total = len(keys)
        turned = at_position(query, n_local, float(golden["rope_theta"]))
        candidates = keys[n_init : total - n_local].transpose(0, 1)
        products = criticality(turned[:, None], candidates, kv_map="mod")
        assert_close(products[:, 0], golden[f"raw_qk_step{t}"])
        vote = votes(products)
        assert_close(vote[0], golden[f"vote_step{t}"])
        read = torch.ones(total, dtype=torch.bool)
        read[n_init : total - n_local] = chosen(smoothed(vote, smooth), k)[0]
        assert read.nonzero()[:, 0].tolist() == golden[f"selected_step{t}"].tolist()
        assert torch.equal(read[start : start + n], golden[f"visual_read_step{t}"])
    hits = [made for _, made in cache_hits(queries.transpose(0, 1), 0.9)]
    assert hits[0] == 0


def at_position(query: Tensor, position: int, theta: float) -> Tensor:
    """Turn queries [H, d] to a position by plain rotary embedding."""
    half = query.shape[-1] // 2
    angles = position * theta ** (-torch.arange(half) / half)
    cos, sin = angles.cos().repeat(2), angles.sin().repeat(2)
    return query * cos + torch.cat([-query[:, half:], query[:, :half]], 1) * sin


RUNNERS = {"tidaldecode": run_tidaldecode, "tokenselect": run_tokenselect}
