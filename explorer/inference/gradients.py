"""Trace an answer back through the language model: every layer's attention and its gradient.

One teacher-forced pass over prompt and answer, in which an eager attention stands in for sdpa, then
one backward pass per answer token. No copy of the weights is made, and nothing stays behind: the
stand-in lives in a context variable of this call. Does not know what is made of the gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import repeat_kv

from explorer.errors import MethodUnavailable
from explorer.inference.sequence import Prompt, add_deepstack, embed_with_answer
from explorer.methods.observed import AnswerGradient
from explorer.vlm.attention import override_attention
from explorer.vlm.components import Decoder
from explorer.vlm.turns.current_run import yield_turn

MAX_BYTES = 12_000_000_000  # bytes that one answer may take to be traced back


def gradients(
    decoder: Decoder, prompt: Prompt, answer_tokens: Sequence[int], target: str = "logit"
) -> Iterator[AnswerGradient]:
    """Explain every token of an answer in turn; EOS is left out, and an empty answer gives nothing.

    target: what is differentiated, the "logit" of the token or its log-probability, "logprob".
    Attention and its gradient are in float32; a half-precision model computes the rest in its own
    precision. Memory for S tokens: four tensors of L * H * S * S numbers, attention, the gradients
    of two answer tokens, and room for one; `MethodUnavailable` if that is more than MAX_BYTES.
    """
    tokens = [int(token) for token in answer_tokens if int(token) not in decoder.eos]
    if not tokens:
        return
    _check_room(decoder, prompt.inputs_embeds.shape[1] + len(tokens))
    scores, attentions = _forward(decoder, prompt, tokens, target)
    attention_weights = [attention.detach()[0] for attention in attentions]
    first = prompt.inputs_embeds.shape[1] - 1  # the position that predicts the first answer token
    for step in range(len(tokens)):
        more = step + 1 < len(tokens)
        grads = torch.autograd.grad(scores[step], attentions, retain_graph=more)
        grads = [gradient[0] for gradient in grads]
        if not more:
            del scores, attentions  # frees the graph before the last token is looked at
        yield AnswerGradient(attention_weights, grads, first + step, prompt.visual_positions)


def _check_room(decoder: Decoder, length: int) -> None:
    heads = decoder.body.config.num_attention_heads
    wanted = 4 * 4 * len(decoder.body.layers) * heads * length**2
    if wanted > MAX_BYTES:
        raise MethodUnavailable(
            f"Tracing this answer back through the model would take {wanted / 1e9:.0f} GB, since "
            f"there are {length} tokens; {MAX_BYTES / 1e9:.0f} GB are allowed."
        )


def _forward(
    decoder: Decoder, prompt: Prompt, tokens: list[int], target: str
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Give the score of each of T tokens and every layer's attention [1, H, S, S], with a graph.

    The last token predicts nothing that is explained, so it is not passed.
    """
    body = decoder.body
    attentions: list[Tensor] = []

    def attend(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        attention = _causal_attention(query, key, scaling)
        if not attention.requires_grad:  # in the first layer nothing before it does
            attention.requires_grad_()
        attentions.append(attention)
        values = repeat_kv(value, query.shape[1] // value.shape[1])
        return (attention @ values.float()).to(query.dtype)

    hidden_states, cos_sin = embed_with_answer(body, prompt, tokens[:-1])
    with torch.enable_grad(), override_attention(attend):
        for index, layer in enumerate(body.layers):
            hidden_states = layer(hidden_states, attention_mask=None, position_embeddings=cos_sin)
            hidden_states = add_deepstack(
                hidden_states, prompt.deepstack, index, prompt.visual_positions
            )
            yield_turn_backwards(hidden_states)
        logits = decoder.head(body.norm(hidden_states[:, -len(tokens) :]))[0].float()
        if target == "logprob":
            logits = logits.log_softmax(-1)
        scores = tuple(logits[step, token] for step, token in enumerate(tokens))
    if len(attentions) != len(body.layers):
        raise RuntimeError(
            "the language model has its own attention; register_attention() is needed"
        )
    return scores, tuple(attentions)


def yield_turn_backwards(hidden_states: Tensor) -> None:
    """Let others have their turn also when a gradient comes back to where a layer has ended."""
    if hidden_states.requires_grad:
        hidden_states.register_hook(lambda _: yield_turn())


def _causal_attention(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Softmax over all earlier positions, [1, H, S, S] in float32.

    In place up to the softmax: what is freed between tensors that stay would be lost as holes.
    """
    keys = repeat_kv(key, query.shape[1] // key.shape[1])
    logits = (query.float() * scaling) @ keys.float().transpose(2, 3)
    future = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).triu(1)
    return logits.masked_fill_(future, float("-inf")).softmax(-1)
