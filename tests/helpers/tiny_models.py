"""Tiny random models that load without a network, shared by all tests."""

from __future__ import annotations

import math

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from explorer.inference.sequence import Prompt
from explorer.methods.signals import Signals
from explorer.vlm.attention import register_attention
from explorer.vlm.components import Decoder


@torch.no_grad()
def scatter_weights(model: torch.nn.Module, seed: int = 0) -> None:
    """Give a model weights large enough that attention is not uniform and no test is vacuous."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.ndim == 1 and "norm" in name and name.endswith("weight"):
            weight.uniform_(0.5, 1.5, generator=generator)
        elif weight.ndim < 2 or min(weight.shape) == 1:
            weight.normal_(0, 0.3, generator=generator)
        else:
            scale = 1.0 if "embed_tokens" in name else 1.5 / math.sqrt(weight[0].numel())
            weight.normal_(0, scale, generator=generator)


def tiny_llama(kv_heads: int = 4, layers: int = 6, attention: str = "") -> LlamaForCausalLM:
    """A random Llama with 4 heads of 8, `kv_heads` of them for keys; our own attention if ""."""
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=512,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    attention = attention or register_attention()
    model = LlamaForCausalLM._from_config(config, attn_implementation=attention).eval()
    scatter_weights(model)
    return model


def taken_apart(model: LlamaForCausalLM, eos: frozenset[int] = frozenset()) -> Decoder:
    return Decoder(model.get_decoder(), model.lm_head, eos)


def random_prompt(before: int = 5, visual: int = 16, after: int = 7, seed: int = 1) -> Prompt:
    """Random embeddings: some text, a block of visual tokens on a square, more text."""
    generator = torch.Generator().manual_seed(seed)
    total, side = before + visual + after, math.isqrt(visual)
    embeds = torch.randn(1, total, 32, generator=generator)
    where = torch.arange(before, before + visual)
    text = torch.ones(total, dtype=torch.bool)
    text[where] = False
    text[0] = False
    number = torch.arange(visual)
    place = torch.stack([number * 0, number // side, number % side], 1)
    signals = Signals(grid_position=place, features=embeds[0, where], patches=number[:, None])
    return Prompt(embeds, torch.arange(total)[None], where, text, signals)
