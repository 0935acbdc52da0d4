"""What methods see inside the language model, against the same numbers from an eager model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.inference.layer_signals import OF_LAST_LAYER, OF_MODULES, OF_NEXT_LAYER
from explorer.inference.prefill import PruningPlan, prefill
from explorer.inference.sequence import Prompt
from explorer.methods.signals import Kept, Signals, Stage

BEFORE, N, TAIL = 5, 16, 7
VISUAL = torch.arange(BEFORE, BEFORE + N)
AFTER = torch.arange(BEFORE + N, BEFORE + N + TAIL)
LAYER = 3
ALL = OF_LAST_LAYER | OF_NEXT_LAYER | OF_MODULES
OTHERS = {
    "normed",
    "tail_normed",
    "n_leading_tokens",
    "rotated_ones",
    "tail_rotated_ones",
    "tail",
    "inputs",
}

pytestmark = pytest.mark.parametrize("kv_heads", [4, 2])


def looked(kv_heads: int, prompt: Prompt | None = None, *earlier: Stage) -> Signals:
    """What a method sees before layer 3 of a tiny Llama."""
    seen = []

    def choose(signals: Signals, stage: Stage) -> Kept:
        seen.append(signals)
        return Kept(torch.arange(signals.count)[-stage.keep :])

    last = Stage(LAYER, earlier[-1].keep if earlier else N)
    plan = PruningPlan((*earlier, last), choose, ALL | OTHERS)
    prefill(taken_apart(tiny_llama(kv_heads)), prompt or random_prompt(BEFORE, N, TAIL), plan)
    return seen[-1]


@torch.no_grad()
def eager(kv_heads: int):
    model = tiny_llama(kv_heads, attention="eager")
    prompt = random_prompt(BEFORE, N, TAIL)
    return model, model.model(
        inputs_embeds=prompt.inputs_embeds,
        output_attentions=True,
        output_hidden_states=True,
        use_cache=True,
    )


def close(ours: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_rows_of_the_layer_that_has_just_run(kv_heads):
    seen, (_, out) = looked(kv_heads), eager(kv_heads)
    attention = out.attentions[LAYER - 1][0]
    close(seen.last_attention, attention[:, -1, VISUAL])
    close(seen.tail_attention, attention[:, AFTER][..., VISUAL])
    assert seen.visual_to_tail.abs().max() == 0, "a causal model can't look ahead"
    keys = out.past_key_values.layers[LAYER - 1].keys[0].repeat_interleave(4 // kv_heads, 0)
    norms = keys.transpose(0, 1).flatten(1).abs().sum(1)
    close(seen.key_norms, norms[VISUAL])
    close(seen.tail_key_norms, norms[AFTER])


def test_rows_of_the_layer_that_is_about_to_run(kv_heads):
    seen, (_, out) = looked(kv_heads), eager(kv_heads)
    attention = out.attentions[LAYER][0]
    close(seen.next_last_attention, attention[:, -1, VISUAL])
    close(seen.next_tail_attention, attention[:, AFTER][..., VISUAL])
    close(seen.visual_attention, attention[:, VISUAL][..., VISUAL].mean(0))
    keys = out.past_key_values.layers[LAYER].keys[0].repeat_interleave(4 // kv_heads, 0)
    close(seen.visual_keys, keys[:, VISUAL].mean(0))


@torch.no_grad()
def test_states_and_embeddings(kv_heads):
    seen, (model, out) = looked(kv_heads), eager(kv_heads)
    states, prompt = out.hidden_states[LAYER][0], random_prompt(BEFORE, N, TAIL)
    close(seen.features, states[VISUAL])
    close(seen.normed, model.model.norm(states)[VISUAL])
    close(seen.tail_normed, model.model.norm(states)[AFTER])
    close(seen.inputs, prompt.inputs_embeds[0, VISUAL])
    close(seen.tail, prompt.inputs_embeds[0, AFTER])
    assert seen.n_leading_tokens == BEFORE


def test_a_vector_of_ones_is_turned_like_queries_and_keys(kv_heads):
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    model, seen = tiny_llama(kv_heads), looked(kv_heads)
    positions = torch.arange(BEFORE + N + TAIL)[None]
    cos, sin = model.model.rotary_emb(torch.zeros(1), positions)
    ones = torch.ones(1, 1, positions.shape[1], 8)
    turned = apply_rotary_pos_emb(ones, ones, cos, sin)[0][0, 0]
    close(seen.rotated_ones, turned[VISUAL])
    close(seen.tail_rotated_ones, turned[AFTER])


@torch.no_grad()
def test_what_modules_read_and_give(kv_heads):
    """Heard by hooks on an untouched model."""
    model = tiny_llama(kv_heads)
    heard: dict[str, list] = {"self_attn": [], "mlp": [], "down": []}
    for layer in model.model.layers:
        layer.self_attn.register_forward_hook(
            lambda _, args, kwargs, out: heard["self_attn"].append(
                (kwargs["hidden_states"][0], out[0][0])
            ),
            with_kwargs=True,
        )
        layer.mlp.register_forward_hook(
            lambda _, args, out: heard["mlp"].append((args[0][0], out[0]))
        )
        layer.mlp.down_proj.register_forward_hook(
            lambda _, args, out: heard["down"].append(args[0][0])
        )
    model.model(inputs_embeds=random_prompt(BEFORE, N, TAIL).inputs_embeds)
    seen = looked(kv_heads, replace(random_prompt(BEFORE, N, TAIL), n_response_header=3))
    assert len(seen.transitions) == LAYER
    for index, transition in enumerate(seen.transitions):
        for module, name in enumerate(("self_attn", "mlp")):
            read, given = heard[name][index]
            close(transition.ratio[module], given.norm(dim=-1) / read.norm(dim=-1))
            cosine = torch.nn.functional.cosine_similarity(read, given)
            close(transition.cosine[module], cosine)
        assert transition.visual.tolist() == VISUAL.tolist()
    close(seen.neurons.values, heard["down"][LAYER - 1])
    assert seen.neurons.visual.tolist() == VISUAL.tolist()
    assert seen.neurons.query_row == BEFORE + N + TAIL - 3


def test_transitions_follow_the_tokens_that_stay(kv_heads):
    seen = looked(kv_heads, None, Stage(1, 4))
    first, second, third = seen.transitions
    assert first.visual.tolist() == VISUAL[-4:].tolist()
    assert second.visual.tolist() == third.visual.tolist() == [5, 6, 7, 8]
    assert first.ratio.shape == (2, BEFORE + N + TAIL)
    assert second.ratio.shape == (2, BEFORE + 4 + TAIL)


def test_looking_changes_nothing(kv_heads):
    prompt, decoder = random_prompt(BEFORE, N, TAIL), taken_apart(tiny_llama(kv_heads))
    plain = prefill(decoder, prompt)
    watched = prefill(
        decoder,
        prompt,
        PruningPlan((Stage(LAYER, N),), lambda s, _: Kept(torch.arange(s.count)), ALL | OTHERS),
    )
    assert torch.equal(plain.logits, watched.logits)


def test_what_is_not_named_is_not_there(kv_heads):
    seen = []

    def choose(signals: Signals, stage: Stage) -> Kept:
        seen.append(signals)
        return Kept(torch.arange(signals.count))

    for name in (ALL | OTHERS) - {"n_leading_tokens"}:
        plan = PruningPlan((Stage(LAYER, N),), choose, frozenset({name}))
        prefill(taken_apart(tiny_llama(kv_heads)), random_prompt(BEFORE, N, TAIL), plan)
        there = {
            field
            for field in set(Signals.__dataclass_fields__) - {"_known", "patches_per_token"}
            if getattr(seen[-1], field) is not None
        }
        assert there == {"grid_position", "patches", "features", name}


def test_all_visual_tokens_may_leave_or_stay(kv_heads):
    """An optional stage, as ToDRE's second: the answer then rests on the words alone."""
    prompt, decoder = random_prompt(BEFORE, N, TAIL), taken_apart(tiny_llama(kv_heads))
    stage = Stage(LAYER, 0, optional=True)
    gone = prefill(decoder, prompt, PruningPlan((stage,), lambda s, _: Kept(torch.arange(0))))
    assert gone.n_visual == [N] * LAYER + [0] * 3
    assert gone.outcomes[0].alive_index.tolist() == [-1] * N
    assert gone.logits.isfinite().all()
    stay = prefill(decoder, prompt, PruningPlan((stage,), lambda s, _: Kept(torch.arange(s.count))))
    assert torch.equal(stay.logits, prefill(decoder, prompt).logits)
    with pytest.raises(RuntimeError, match="3 kept"):
        prefill(decoder, prompt, PruningPlan((stage,), lambda s, _: Kept(torch.arange(3))))
