"""TidalDecode's apply mode, and what the two methods would read, on a tiny language model."""

from __future__ import annotations

import pytest
import torch
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.analyses.inside.layer_keys import QUESTION, cached_keys, carried
from explorer.analyses.inside.sparse_decoding import SparseDecodeBatch
from explorer.analyses.inside.tracing import trace, trace_given
from explorer.inference.decode import DecodeLoop, decode
from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.signals import Kept, Stage
from explorer.metrics.reading.tidaldecode import ALL, VISUAL, Tidal
from explorer.metrics.reading.tokenselect import cache_hits

STEPS = 6
ASKED = torch.tensor([False] * 6 + [True] * 5 + [False])


def at_layer(layer: int, kept: list[int]) -> PruningPlan:
    return PruningPlan((Stage(layer, len(kept)),), lambda *_: Kept(torch.tensor(kept)))


def sparse_answer(decoder, plan: PruningPlan, tidal: Tidal) -> torch.Tensor:
    run = prefill(decoder, random_prompt(), plan, trace=True)
    keys = cached_keys(run, ASKED)
    loop = DecodeLoop(STEPS)
    loop.add(SparseDecodeBatch(run, tidal, keys))
    logits = []
    while steps := loop.step():
        logits.append(steps[0][1].logits)
    return torch.stack(logits)


@pytest.mark.parametrize("plan", [PruningPlan(), at_layer(3, [1, 4, 7])], ids=["whole", "pruned"])
def test_reading_every_key_is_the_dense_answer_and_fewer_keys_are_not(plan):
    decoder = taken_apart(tiny_llama(kv_heads=2))
    run = prefill(decoder, random_prompt(), plan)
    dense = torch.stack([step.logits for step in decode(run, STEPS)])
    for scope in (ALL, VISUAL):
        every = sparse_answer(decoder, plan, Tidal.of(6, 100, scope))
        assert torch.allclose(every, dense, atol=1e-5)
        few = sparse_answer(decoder, plan, Tidal.of(6, 2, scope))
        assert torch.allclose(few[0], dense[0], atol=1e-5), "the prompt is read densely"
        assert not torch.allclose(few[1], dense[1], atol=1e-3)


def test_a_given_answer_leaves_the_same_rows_as_one_that_is_decoded():
    decoder = taken_apart(tiny_llama(kv_heads=2))
    *_, decoded = trace(decoder, random_prompt(), PruningPlan(), ASKED, STEPS)
    given = trace_given(decoder, random_prompt(), PruningPlan(), ASKED, decoded.tokens)
    for layer in range(6):
        ours, theirs = decoded.rows(layer), given.rows(layer)
        assert torch.allclose(ours.later, theirs.later, atol=1e-5)
        assert torch.equal(ours.first, theirs.first)
        assert torch.allclose(decoded.logits(layer), given.logits(layer), atol=1e-4)
        assert int((ours.cached.kind == QUESTION).sum()) == 5


def test_choices_follow_keys_to_layers_that_hold_fewer():
    read = torch.tensor([[True, False, True, True]])
    there, here = torch.tensor([3, -1, 7, 9]), torch.tensor([9, -1, 5])
    assert carried(read, there, here).tolist() == [[True, False, False]]


def test_an_old_choice_is_kept_while_the_query_points_the_same_way():
    query = torch.tensor([[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [1.0, 0.0]]])
    assert list(cache_hits(query, 0.9)) == [
        (False, 0),
        (True, 0),
        (False, 2),
        (True, 2),
        (False, 4),
    ]
