"""The engine against the model's own forward and generate, and against masked references."""

from __future__ import annotations

import pytest
import torch
from tiny_models import random_prompt, taken_apart, tiny_llama
from transformers import DynamicCache

from explorer.inference.decode import decode, teacher_force
from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.signals import Kept, Stage

KV_HEADS = pytest.mark.parametrize("kv_heads", [4, 2])


def keep(*index: int) -> Kept:
    return Kept(torch.tensor(index))


def plan_of(choices: dict[int, list[int]], renumber: bool = False) -> PruningPlan:
    """Keep these visual tokens (counted among those alive) before these layers."""
    stages = tuple(Stage(layer, len(kept)) for layer, kept in choices.items())
    return PruningPlan(stages, lambda _, stage: keep(*choices[stage.layer]), renumber=renumber)


def greedy(run, steps: int = 6) -> tuple[list[int], torch.Tensor]:
    answer = list(decode(run, steps))
    return [step.token for step in answer], torch.stack([step.logits for step in answer])


@torch.no_grad()
def masked_reference(model, prompt, alive: dict[int, list[int]], positions, tokens) -> torch.Tensor:
    """Logits of a run that drops nothing but hides dropped keys from layer r on (4-D masks).

    alive: layer -> places of the prompt that stay; positions: layer -> position ids of the whole
    sequence, which matters when the method renumbers.
    """
    body, low = model.get_decoder(), torch.finfo(torch.float32).min
    x = torch.cat([prompt.inputs_embeds, body.embed_tokens(torch.tensor([tokens]))], 1)
    S, n = prompt.inputs_embeds.shape[1], x.shape[1]
    mask = torch.full((n, n), low).triu(1)[None, None]
    for index, layer in enumerate(body.layers):
        if index in alive:
            gone = torch.ones(n, dtype=torch.bool)
            gone[alive[index]] = False
            gone[S:] = False
            mask = mask.masked_fill(gone, low).masked_fill(torch.eye(n, dtype=torch.bool), 0)
        cos_sin = body.rotary_emb(x, positions(index, n)[None])
        x = layer(x, attention_mask=mask, position_embeddings=cos_sin, cache=DynamicCache())
    return model.lm_head(body.norm(x))[0, S - 1 : -1]


@KV_HEADS
def test_all_tokens_kept_equals_the_models_own_forward_and_generate(kv_heads):
    model, prompt = tiny_llama(kv_heads), random_prompt()
    run = prefill(taken_apart(model), prompt)
    own = model(inputs_embeds=prompt.inputs_embeds).logits[0, -1]
    assert (run.logits - own).abs().max() <= 1e-5
    generated = model.generate(
        inputs_embeds=prompt.inputs_embeds, max_new_tokens=8, do_sample=False, eos_token_id=None
    )
    assert greedy(run, 8)[0] == generated[0].tolist()


@KV_HEADS
@pytest.mark.parametrize(
    "choices",
    [{0: [1, 4, 9, 15]}, {2: [0, 3, 8]}, {0: [2, 3, 5, 7, 11], 3: [0, 2]}, {1: [5, 6], 4: [1]}],
    ids=str,
)
def test_dropping_equals_masking_when_positions_are_kept(kv_heads, choices):
    model, prompt = tiny_llama(kv_heads), random_prompt()
    tokens, logits = greedy(prefill(taken_apart(model), prompt, plan_of(choices)))
    rest = [i for i in range(prompt.inputs_embeds.shape[1]) if i not in prompt.visual_positions]
    alive, now = {}, prompt.visual_positions.tolist()
    for layer, kept in choices.items():
        now = [now[i] for i in kept]
        alive[layer] = rest + now
    reference = masked_reference(model, prompt, alive, lambda _, n: torch.arange(n), tokens)
    assert (logits - reference).abs().max() < 5e-5
    full = prefill(taken_apart(model), prompt).logits
    assert (logits[0] - full).abs().max() > 1e-2, "dropping changed nothing: the test is vacuous"


@KV_HEADS
def test_dropping_equals_masking_when_positions_are_renumbered(kv_heads):
    model, prompt = tiny_llama(kv_heads), random_prompt()
    kept, S = [2, 3, 9, 14], prompt.inputs_embeds.shape[1]
    plan = plan_of({2: kept}, renumber=True)
    tokens, logits = greedy(prefill(taken_apart(model), prompt, plan))
    stays = torch.ones(S, dtype=torch.bool)
    stays[prompt.visual_positions] = False
    stays[prompt.visual_positions[kept]] = True

    def positions(layer: int, n: int) -> torch.Tensor:
        if layer < 2:
            return torch.arange(n)
        moved = stays.cumsum(0) - 1
        return torch.cat([moved, stays.sum() + torch.arange(n - S)])

    alive = {2: stays.nonzero()[:, 0].tolist()}
    reference = masked_reference(model, prompt, alive, positions, tokens)
    assert (logits - reference).abs().max() < 5e-5


@KV_HEADS
@pytest.mark.parametrize("choices", [{}, {0: [1, 4, 9]}, {2: [0, 3, 8], 4: [2]}], ids=str)
def test_a_forced_answer_gets_the_logits_that_decoding_it_gives(kv_heads, choices):
    model, prompt = tiny_llama(kv_heads), random_prompt()
    run = prefill(taken_apart(model), prompt, plan_of(choices))
    tokens, logits = greedy(run, 5)
    assert torch.allclose(teacher_force(run, tokens), logits, atol=2e-5)
    renumbered = prefill(taken_apart(model), prompt, plan_of(choices, renumber=True))
    tokens, logits = greedy(renumbered, 5)
    assert torch.allclose(teacher_force(renumbered, tokens), logits, atol=2e-5)
    assert torch.allclose(teacher_force(renumbered, tokens[:1]), logits[:1], atol=1e-6)


def test_layers_cache_only_the_tokens_that_entered_them():
    model, prompt = tiny_llama(), random_prompt(before=5, visual=16, after=7)
    run = prefill(taken_apart(model), prompt, plan_of({2: [0, 5], 4: [1]}))
    assert run.length == [28, 28, 14, 14, 13, 13]
    assert run.n_visual == [16, 16, 2, 2, 1, 1]
    assert [run.cache.get_seq_length(i) for i in range(6)] == run.length


def test_merged_tokens_stand_where_the_method_puts_them():
    model, prompt = tiny_llama(), random_prompt(before=3, visual=4, after=2)
    merged = torch.randn(2, 32)
    kept = Kept(torch.tensor([1, 3]), merged, torch.tensor([1, -1, 1, -1]), lead=1)
    plan = PruningPlan((Stage(0, 2, 2),), lambda *_: kept, renumber=True)
    run = prefill(taken_apart(model), prompt, plan)
    x = prompt.inputs_embeds[0]
    by_hand = torch.cat([x[:3], merged[:1], x[[4, 6]], merged[1:], x[7:]])[None]
    own = model(inputs_embeds=by_hand).logits[0, -1]
    assert (run.logits - own).abs().max() <= 1e-5
    outcome = run.outcomes[0]
    assert outcome.alive_index.tolist() == [3, 1, 3, 2]
    assert outcome.source_index.tolist() == [-1, 1, 3, -1]


def test_later_stages_follow_tokens_through_earlier_merges():
    model, prompt = tiny_llama(), random_prompt(visual=4)
    first = Kept(torch.tensor([0, 3]), torch.randn(1, 32), torch.tensor([-1, 0, 0, -1]))
    second = Kept(torch.tensor([2]))  # of [token 0, token 3, merged]: only the merged one stays
    choices = {0: first, 3: second}
    plan = PruningPlan(
        (Stage(0, 2, 1), Stage(3, 1)), lambda _, stage: choices[stage.layer], renumber=True
    )
    run = prefill(taken_apart(model), prompt, plan)
    assert run.outcomes[1].alive_index_before.tolist() == [0, 2, 2, 1]
    assert run.outcomes[1].alive_index.tolist() == [-1, 0, 0, -1]
    assert run.outcomes[1].source_index.tolist() == [-1]


def test_text_between_visual_tokens_stays_in_order():
    model, prompt = tiny_llama(), random_prompt(before=2, visual=4, after=4)
    split = prompt.__class__(
        prompt.inputs_embeds,
        prompt.position_ids,
        torch.tensor([2, 3, 6, 7]),
        prompt.is_text,
        prompt.signals,
    )
    run = prefill(taken_apart(model), split, plan_of({0: [1, 2]}, renumber=True))
    own = model(inputs_embeds=prompt.inputs_embeds[:, [0, 1, 3, 4, 5, 6, 8, 9]]).logits[0, -1]
    assert (run.logits - own).abs().max() <= 1e-5


@KV_HEADS
@torch.no_grad()
def test_signals_inside_the_model_equal_eager_attention(kv_heads):
    prompt, seen = random_prompt(), {}
    model = tiny_llama(kv_heads)
    needs = frozenset({"last_attention", "visual_attention", "visual_keys"})

    def look(signals, stage):
        seen[stage.layer] = signals
        return keep(*range(16))

    plan = PruningPlan((Stage(3, 16),), look, needs=needs)
    prefill(taken_apart(model), prompt, plan)
    eager = tiny_llama(kv_heads, attention="eager")
    out = eager(
        inputs_embeds=prompt.inputs_embeds,
        output_attentions=True,
        output_hidden_states=True,
        use_cache=True,
    )
    v = prompt.visual_positions
    signals = seen[3]
    assert torch.allclose(signals.last_attention, out.attentions[2][0, :, -1][:, v], atol=1e-5)
    visual = out.attentions[3][0][:, v][:, :, v].mean(0)
    assert torch.allclose(signals.visual_attention, visual, atol=1e-5)
    assert torch.allclose(signals.features, out.hidden_states[3][0, v], atol=1e-4)
    keys = out.past_key_values.layers[3].keys[0][:, v].mean(0)
    assert torch.allclose(signals.visual_keys, keys, atol=1e-4)


@torch.no_grad()
def test_attention_mass_equals_eager_rows_of_the_answer():
    prompt = random_prompt()
    run = prefill(taken_apart(tiny_llama()), prompt)
    tokens = greedy(run, 4)[0]
    eager = tiny_llama(attention="eager")
    whole = torch.cat(
        [prompt.inputs_embeds, eager.get_decoder().embed_tokens(torch.tensor([tokens[:-1]]))], 1
    )
    out, S = eager(inputs_embeds=whole, output_attentions=True), prompt.inputs_embeds.shape[1]
    for layer, attention in enumerate(out.attentions):
        rows = attention[0].mean(0)[S - 1 :, :S].sum(0)
        assert run.attention_mass[layer, 0] == pytest.approx(
            float(rows[prompt.is_text].sum()), abs=1e-4
        )
        assert run.attention_mass[layer, 1] == pytest.approx(
            float(rows[prompt.visual_positions].sum()), abs=1e-4
        )
        assert run.attention_mass[layer, 2] == pytest.approx(float(rows[0]), abs=1e-4)
    assert not prompt.is_text[0] and run.text_visual_mask[0][2].nonzero().tolist() == [[0]]
    assert run.n_answer_tokens == 4


def test_decoding_ends_at_eos():
    model, prompt = tiny_llama(), random_prompt()
    tokens, _ = greedy(prefill(taken_apart(model), prompt), 6)
    ended = prefill(taken_apart(model, eos=frozenset({tokens[2]})), prompt)
    assert greedy(ended, 6)[0] == tokens[: tokens.index(tokens[2]) + 1]


def test_a_model_that_is_not_listening_is_refused():
    with pytest.raises(RuntimeError, match="own attention"):
        prefill(taken_apart(tiny_llama(attention="sdpa")), random_prompt())


def test_a_method_that_breaks_its_promise_is_refused():
    plan = PruningPlan((Stage(0, 3),), lambda *_: keep(1, 2))
    with pytest.raises(RuntimeError, match="2 kept"):
        prefill(taken_apart(tiny_llama()), random_prompt(), plan)
