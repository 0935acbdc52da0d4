"""What a prefill costs in arithmetic and in cache memory, from the shape of the language model.

Knows numbers of tokens per layer, not which tokens they are. The vision tower is counted apart from
the prefill. Leaves out what no paper counts but a clock does: the selection itself, norms, rotary
embedding and softmax. Letters in
the formulas: n tokens in the sequence, d hidden width, m FFN width, h query heads, h_kv key/value
heads, d_h head width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """The widths of a Llama-like decoder: grouped attention heads and a gated FFN."""

    layers: int
    width: int
    ffn: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int


def shape_of(config) -> Shape:
    """Read the widths from a transformers config; of a multimodal one, its language model's."""
    text = config.get_text_config()
    heads = text.num_attention_heads
    return Shape(
        layers=text.num_hidden_layers,
        width=text.hidden_size,
        ffn=text.intermediate_size,
        heads=heads,
        kv_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_width=getattr(text, "head_dim", None) or text.hidden_size // heads,
        vocabulary=text.vocab_size,
    )


def layer_flops(shape: Shape, tokens: int) -> int:
    """Count the FLOPs of one decoder layer over n tokens, text included.

    2 n d d_h (2h + 2h_kv) + 4 n^2 h d_h + 6 n d m, one multiply-accumulate being 2 FLOPs. The n^2
    term counts the whole square; a causal kernel that skips the upper triangle does about half.
    """
    projections = 2 * tokens * shape.width * shape.head_width * 2 * (shape.heads + shape.kv_heads)
    attention = 4 * tokens**2 * shape.heads * shape.head_width
    return projections + attention + 6 * tokens * shape.width * shape.ffn


def prefill_flops(shape: Shape, lengths: Sequence[int]) -> int:
    """Count the FLOPs of a prefill, with the language-model head at the last position (2 d V).

    lengths [L]: tokens that enter each layer, text and visual together. ValueError if they are not
    one number per layer. A method that drops tokens between two layers pays for them in the first.
    """
    _check(shape, lengths)
    head = 2 * shape.width * shape.vocabulary
    return sum(layer_flops(shape, int(n)) for n in lengths) + head


@dataclass(frozen=True)
class TowerShape:
    """The widths of a vision tower: as many heads of keys as of queries, an FFN without a gate."""

    layers: int
    width: int
    ffn: int


def tower_shape_of(config) -> TowerShape | None:
    """Read the widths from the config of a vision tower; None if it is of another build."""
    widths = (
        getattr(config, name, None)
        for name in ("num_hidden_layers", "hidden_size", "intermediate_size")
    )
    found = list(widths)
    return None if None in found else TowerShape(*found)


def tower_flops(shape: TowerShape, views: int, lengths: Sequence[int]) -> int:
    """Count the FLOPs of a vision tower's layers: V (8 n d^2 + 4 n^2 d + 4 n d m) in each.

    lengths [L]: tokens that enter each layer, of all V views together, which don't see each other.
    """
    if len(lengths) != shape.layers:
        raise ValueError(f"{len(lengths)} lengths for {shape.layers} layers")
    each = [length // views for length in lengths]
    d, m = shape.width, shape.ffn
    return sum(views * (8 * n * d**2 + 4 * n**2 * d + 4 * n * d * m) for n in each)


def kv_bytes(shape: Shape, lengths: Sequence[int], bytes_per_number: int) -> int:
    """Count the bytes of keys and values after the prefill: 2 h_kv d_h bytes times the sum of n_l.

    lengths [L]: tokens that enter each layer. ValueError if they are not one number per layer.
    """
    _check(shape, lengths)
    per_token = 2 * shape.kv_heads * shape.head_width * bytes_per_number
    return per_token * sum(int(n) for n in lengths)


def _check(shape: Shape, lengths: Sequence[int]) -> None:
    if len(lengths) != shape.layers:
        raise ValueError(f"{len(lengths)} lengths for {shape.layers} layers")
