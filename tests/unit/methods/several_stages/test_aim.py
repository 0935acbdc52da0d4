"""AIM: rounds of merging, the PageRank that ranks inside the LLM, and how its tokens fade out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from random_signals import LAYOUTS, tower_signals
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.inference.attention_weights import causal_rows, pagerank
from explorer.inference.decode import decode
from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.ops.groups.bipartite import thinned, thinned_down
from explorer.methods.several_stages.aim import AIM
from explorer.methods.signals import Kept, Signals, Size, Stage


def test_the_published_schedule_comes_back_at_its_own_mean():
    """A quarter of 1120 tokens, then eighths behind layers 14 to 21 of 28: .661 of 280."""
    size = Size(1120, 28, 28)
    first, *others = AIM().schedule(size, 185)
    assert (first.layer, first.keep, first.merge) == (0, 0, 280)
    assert [stage.layer for stage in others] == list(range(15, 23))
    assert [stage.keep for stage in others] == [280 * (8 - i) // 8 for i in range(1, 9)]
    assert others[-1].keep == 0
    assert not first.keep_positions and all(stage.keep_positions for stage in others)


def test_a_budget_that_merging_can_not_reach_moves_the_layers():
    size = Size(576, 28, 24)
    late = AIM().schedule(size, 500)
    assert late[0].layer > 15 and late[0].merge == 0
    early = AIM(parts="prune").schedule(size, 100)
    assert early[0].layer < 14 and early[0].merge == 0
    assert AIM(parts="merge").schedule(size, 100) == [Stage(0, 0, 100)]


@pytest.mark.parametrize("n", [1, 2, 5, 45])
def test_every_number_of_groups_can_be_reached_and_shares_add_up(n):
    rows = torch.randn(n, 6, generator=torch.Generator().manual_seed(n))
    lists = thinned(rows)
    counts = [len(groups.size) for groups, _ in lists]
    assert counts[:4] == {45: [45, 23, 12, 7], 5: [5, 3, 2, 1], 2: [2, 1], 1: [1]}[n]
    for count in range(1, n + 1):
        group, share = thinned_down(lists, count)
        assert sorted(set(group.tolist())) == list(range(count))
        sums = torch.zeros(count).index_add_(0, group, share)
        assert torch.allclose(sums, torch.ones(count))


def test_a_mean_of_means_counts_them_alike():
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.01], [0.9, 0.1], [0.0, 1.0]])
    [_, (_, halves), (groups, shares)] = thinned(rows)
    assert sorted(halves.tolist()) != [0.25] * 4
    assert len(groups.size) == 1 and sorted(shares.tolist()) != [0.25] * 4
    assert torch.allclose(groups.metric[0], shares @ rows)


def test_views_are_merged_by_themselves_and_raster_order_is_that_of_first_patches():
    signals = tower_signals("two views")
    kept = AIM().keep(signals, Stage(0, 0, 7))
    view = LAYOUTS["two views"][0][:, 0]
    assert not set(kept.group[view == 0].tolist()) & set(kept.group[view == 1].tolist())
    raster = AIM(order="raster").keep(signals, Stage(0, 0, 7))
    firsts = [int((raster.group == number).nonzero()[0]) for number in range(7)]
    assert firsts == sorted(firsts)
    for made in (kept, raster):
        assert torch.allclose(made.mix(signals.features), made.merged)
    frames = replace(signals, frame_position=signals.grid_position.roll(5, 0))
    again = AIM().keep(frames, Stage(0, 0, 7))
    view = frames.frame_position[:, 0]
    assert not set(again.group[view == 0].tolist()) & set(again.group[view == 1].tolist())


def test_pagerank_takes_its_steps_on_the_sharpened_attention():
    generator = torch.Generator().manual_seed(2)
    query, key = (torch.randn(h, 9, 4, generator=generator) for h in (4, 2))
    walk = causal_rows(query * 10, key, torch.arange(9), 0.5)
    ranks = torch.full((4, 1, 9), 1 / 9)
    for _ in range(5):
        ranks = ranks @ walk
    expected = ranks[:, 0].pow(2).mean(0).sqrt()
    torch.testing.assert_close(pagerank(query, key, 0.5), expected)
    hidden = torch.zeros(9, 9)
    hidden[:, 4] = -torch.inf
    assert pagerank(query, key, 0.5, hidden)[4] == 0


def test_answers_go_on_when_no_visual_token_is_left_and_positions_are_as_announced():
    decoder, prompt = taken_apart(tiny_llama(kv_heads=2)), random_prompt()
    size = Size(16, 6, 4)
    seen: list[list[int]] = []
    hook = decoder.body.rotary_emb.register_forward_pre_hook(
        lambda _, arguments: seen.append(arguments[1][0].tolist())
    )
    stages = tuple(AIM().schedule(size, 6))
    plan = PruningPlan(stages, AIM().keep, AIM.needs, renumber=True)
    run = prefill(decoder, prompt, plan)
    hook.remove()
    merged = stages[0].merge
    assert run.n_visual[0] == merged and run.n_visual[-1] == 0
    assert seen[0] == list(range(5 + merged + 7)), "merged tokens are counted anew"
    assert seen[-1] == [*range(5), *range(5 + merged, 12 + merged)], "later ones leave gaps"
    answer = list(decode(run, 4))
    assert len(answer) == 4 and all(step.logits.isfinite().all() for step in answer)


def test_nobody_left_is_a_choice_too():
    def nobody(signals: Signals, stage: Stage) -> Kept:
        return Kept(torch.zeros(0, dtype=torch.long))

    decoder, prompt = taken_apart(tiny_llama()), random_prompt()
    for layer in range(6):
        run = prefill(decoder, prompt, PruningPlan((Stage(layer, 0),), nobody))
        assert run.n_visual == [16] * layer + [0] * (6 - layer)
        assert run.logits.isfinite().all()
