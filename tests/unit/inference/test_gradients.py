"""Gradients of an answer, against an untouched eager model and against finite differences."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import random_prompt, taken_apart, tiny_llama
from transformers import LlavaForConditionalGeneration
from transformers.models.llama.modeling_llama import repeat_kv

from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.errors import MethodUnavailable
from explorer.inference.ablation import AblationScorer
from explorer.inference.decode import decode
from explorer.inference.gradients import _causal_attention, gradients
from explorer.inference.prefill import prefill
from explorer.methods.attention.relevance import Relevance
from explorer.methods.signals import Signals
from explorer.pico.data import scenes
from explorer.vlm.attention import override_attention
from explorer.vlm.catalog import read_entries
from explorer.vlm.turns.current_run import CURRENT

ANSWER = [7, 19, 3]
KV_HEADS = pytest.mark.parametrize("kv_heads", [4, 2])
TARGETS = pytest.mark.parametrize("target", ["logit", "logprob"])


def score_of(logits: torch.Tensor, token: int, target: str) -> torch.Tensor:
    return logits[token] if target == "logit" else logits.log_softmax(-1)[token]


def eager_step(model, embeds: torch.Tensor, said: list[int], token: int, target: str):
    """Attention and gradient of one answer token, by a pass of its own over all before it."""
    body = model.get_decoder()
    with torch.no_grad():
        words = body.embed_tokens(torch.tensor([said], dtype=torch.long))
    x = torch.cat([embeds, words], 1).detach().requires_grad_()
    out = body(inputs_embeds=x, output_attentions=True)
    attentions = out.attentions
    logits = model.lm_head(out.last_hidden_state[0, -1])
    found = torch.autograd.grad(score_of(logits, token, target), attentions)
    return torch.cat([a.detach() for a in attentions]), torch.cat(found)


class Gone(BaseException):
    """Nobody waits any more."""


def test_a_pass_backwards_stops_between_two_layers_once_nobody_waits():
    decoder, prompt = taken_apart(tiny_llama()), random_prompt()
    scorer = AblationScorer(decoder, prompt, ANSWER)
    tokens = scorer.tokens.clone().requires_grad_()
    layers = len(decoder.body.layers)

    class Run:
        asked = 0

        def yield_turn(self):
            self.asked += 1
            if self.asked == layers + 2:  # all layers have run, one has been come back to
                raise Gone

    backwards = (
        lambda: next(gradients(decoder, prompt, ANSWER)),
        lambda: scorer.log_prob_replaced(tokens).sum().backward(),
    )
    for work in backwards:
        run = Run()
        token = CURRENT.set(run)
        try:
            with pytest.raises(Gone):
                work()
        finally:
            CURRENT.reset(token)
        assert run.asked == layers + 2


@KV_HEADS
@TARGETS
def test_one_pass_gives_what_an_eager_pass_per_token_gives(kv_heads, target):
    prompt = random_prompt(seed=2)  # in double precision, so that no processor's rounding matters
    prompt = replace(prompt, inputs_embeds=prompt.inputs_embeds.double())
    ours = list(gradients(taken_apart(tiny_llama(kv_heads).double()), prompt, ANSWER, target))
    eager = tiny_llama(kv_heads, attention="eager").double()
    assert len(ours) == len(ANSWER)
    for step, explained in enumerate(ours):
        attention, gradient = eager_step(
            eager, prompt.inputs_embeds, ANSWER[:step], ANSWER[step], target
        )
        S = attention.shape[-1]
        assert explained.row == S - 1
        assert explained.visual.tolist() == prompt.visual_positions.tolist()
        seen, found = torch.stack(explained.attention), torch.stack(explained.gradient)
        assert seen.dtype == found.dtype == torch.float32
        torch.testing.assert_close(seen[..., :S, :S], attention.float())
        atol = min(1e-5, 2e-6 * gradient.abs().max().item())
        torch.testing.assert_close(found[..., :S, :S], gradient.float(), rtol=1e-4, atol=atol)
        assert found[..., S:, :].abs().sum() == 0, "what is said later explains nothing"
        assert found.abs().amax((1, 2, 3)).min() > 1e-3, "no layer is without a gradient"


@KV_HEADS
@torch.no_grad()
def test_attention_equals_rows_computed_one_by_one(kv_heads):
    """From the queries and keys of an untouched model, heard by hooks on its projections."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    prompt, model = random_prompt(), tiny_llama(kv_heads)
    heard = []
    for layer in model.model.layers:
        for part in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            part.register_forward_hook(lambda _, args, out: heard.append(out))
    model(inputs_embeds=prompt.inputs_embeds)
    queries, keys = heard[0::2], heard[1::2]
    [explained] = gradients(taken_apart(tiny_llama(kv_heads)), prompt, ANSWER[:1])
    S = prompt.inputs_embeds.shape[1]
    cos, sin = model.model.rotary_emb(prompt.inputs_embeds, prompt.position_ids)
    for layer, (q, k) in enumerate(zip(queries, keys, strict=True)):
        q, k = (x.view(1, S, -1, 8).transpose(1, 2) for x in (q, k))
        q, k = apply_rotary_pos_emb(q, k, cos, sin)
        for head in range(4):
            for row in range(S):
                shared = k[0, head * kv_heads // 4, : row + 1]
                weights = (shared @ q[0, head, row] / 8**0.5).softmax(0)
                ours = explained.attention[layer][head, row]
                torch.testing.assert_close(ours[: row + 1], weights, rtol=1e-4, atol=1e-6)
                assert ours[row + 1 :].abs().sum() == 0


@torch.no_grad()
def test_gradients_equal_finite_differences():
    """Raise one entry of one layer's attention a little and see how far the logit moves."""
    prompt, model, token = random_prompt(), tiny_llama(), ANSWER[0]
    [explained] = gradients(taken_apart(model), prompt, [token])
    last = prompt.inputs_embeds.shape[1] - 1

    def logit(layer: int, entry: tuple[int, int, int], change: float) -> float:
        count = 0

        def attend(query, key, value, scaling):
            nonlocal count
            attention = _causal_attention(query, key, scaling)
            if count == layer:
                attention[(0, *entry)] += change
            count += 1
            return attention @ repeat_kv(value, query.shape[1] // value.shape[1])

        with override_attention(attend):
            return float(model(inputs_embeds=prompt.inputs_embeds).logits[0, -1, token])

    for layer in (0, 3, 5):
        row = explained.gradient[layer][:, last]
        head, column = divmod(
            int(row[:, prompt.visual_positions].abs().argmax()), len(prompt.visual_positions)
        )
        entry = (head, last, int(prompt.visual_positions[column]))
        slope = (logit(layer, entry, 1e-2) - logit(layer, entry, -1e-2)) / 2e-2
        expected = float(explained.gradient[layer][entry])
        assert abs(expected) > 0.1
        assert slope == pytest.approx(expected, rel=0.02, abs=0.01)


def naive_relevance(model, embeds, answer: list[int], visual: torch.Tensor, target: str):
    """The text, step by step: a pass per token, and R as a whole matrix in double precision."""
    total = torch.zeros(len(visual), dtype=torch.float64)
    for step, token in enumerate(answer):
        attention, gradient = eager_step(model, embeds, answer[:step], token, target)
        R = torch.eye(attention.shape[-1], dtype=torch.float64)
        for A, dA in zip(attention.double(), gradient.double(), strict=True):
            R = R + (dA * A).clamp(min=0).mean(0) @ R
        total += R[-1, visual]
    return (total / len(answer)).float()


@KV_HEADS
@TARGETS
def test_relevance_of_a_tiny_model(kv_heads, target):
    prompt, decoder = random_prompt(), taken_apart(tiny_llama(kv_heads))
    signals = Signals(
        prompt.signals.grid_position,
        prompt.signals.features,
        explain=lambda target: gradients(decoder, prompt, ANSWER, target),
    )
    eager = tiny_llama(kv_heads, attention="eager")
    naive = naive_relevance(eager, prompt.inputs_embeds, ANSWER, prompt.visual_positions, target)
    ours = Relevance(target=target).score(signals)
    assert naive.max() > 1.2 * naive.min() >= 0
    torch.testing.assert_close(ours, naive, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def pico_case():
    scene = scenes.make(5)
    return open_case(CaseRequest.make("pico", scene.image, "how many things are there ?"))


def test_relevance_of_pico(pico_case):
    prompt, decoder = pico_case.prompt(), pico_case.decoder
    answer = [step.token for step in decode(prefill(decoder, prompt), 12)]
    assert answer[-1] in decoder.eos
    own = LlavaForConditionalGeneration.from_pretrained(
        read_entries()["pico"].source, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    plain = own.model.language_model

    class Language:
        get_decoder = staticmethod(lambda: plain)
        lm_head = own.lm_head

    naive = naive_relevance(
        Language, prompt.inputs_embeds, answer[:-1], prompt.visual_positions, "logit"
    )
    signals = Signals(
        prompt.signals.grid_position,
        prompt.signals.features,
        explain=lambda target: gradients(decoder, prompt, answer, target),
    )
    ours = Relevance().score(signals)
    torch.testing.assert_close(ours, naive, rtol=1e-3, atol=1e-5 * float(naive.max()))
    kept, expected = (set(x.argsort(descending=True)[:20].tolist()) for x in (ours, naive))
    assert kept == expected


def test_nothing_stays_behind(pico_case):
    """Neither between two tokens nor afterwards: not in the model, not in the grad mode."""
    prompt, decoder = pico_case.prompt(), pico_case.decoder
    before = prefill(decoder, prompt)
    for _ in gradients(decoder, prompt, [5, 6, 7]):
        with torch.no_grad():
            between = prefill(decoder, prompt)
        assert torch.is_grad_enabled()
        assert torch.equal(between.logits, before.logits)
        assert torch.equal(between.attention_mass, before.attention_mass)
    assert not any(weight.requires_grad or weight.grad is not None for weight in _weights(decoder))
    assert not prompt.inputs_embeds.requires_grad
    with torch.no_grad():  # a caller's no_grad does not hinder it
        assert len(list(gradients(decoder, prompt, [5]))) == 1


def _weights(decoder):
    return [*decoder.body.parameters(), *decoder.head.parameters()]


def test_eos_is_no_part_of_the_answer():
    prompt = random_prompt()
    decoder = taken_apart(tiny_llama(), eos=frozenset({2}))
    with_eos = list(gradients(decoder, prompt, [*ANSWER, 2]))
    without = list(gradients(decoder, prompt, ANSWER))
    assert len(with_eos) == len(without) == 3
    for a, b in zip(with_eos, without, strict=True):
        assert torch.equal(torch.stack(a.gradient), torch.stack(b.gradient))
    assert list(gradients(decoder, prompt, [2])) == []


def test_a_model_that_is_not_listening_is_refused():
    decoder = taken_apart(tiny_llama(attention="sdpa"))
    with pytest.raises(RuntimeError, match="own attention"):
        next(gradients(decoder, random_prompt(), ANSWER))


def test_an_answer_that_takes_too_much_memory_is_refused_in_words(monkeypatch):
    monkeypatch.setattr("explorer.inference.gradients.MAX_BYTES", 1_000_000)
    with pytest.raises(MethodUnavailable, match="0 GB are allowed"):
        next(gradients(taken_apart(tiny_llama()), random_prompt(visual=144), [5, 9]))
