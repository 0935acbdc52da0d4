"""FLOPs and cache bytes: against a counter that watches a model, and against printed tables."""

from __future__ import annotations

import pytest
import torch
from parity.printed_costs import fastv_layer, pyramiddrop_layer, visionzip_total
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM, LlavaConfig

from explorer.metrics import cost

SEVEN = {"width": 4096, "ffn": 11008}  # Vicuna 7B, 32 layers
THIRTEEN = {"width": 5120, "ffn": 13824}  # Vicuna 13B, 40 layers


def grouped(kv_heads: int = 2) -> LlamaConfig:
    """3 layers, 4 query heads, `kv_heads` for keys; 4 heads of 12 are wider than the model."""
    return LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=88,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        head_dim=12,
    )


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_exact_formula_equals_a_flop_counter_to_the_last_unit(kv_heads: int):
    config = grouped(kv_heads)
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager").eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(inputs_embeds=torch.randn(1, 21, 32), logits_to_keep=1)
    assert cost.prefill_flops(cost.shape_of(config), [21, 21, 21]) == counter.get_total_flops()


def test_layers_are_paid_for_what_enters_them():
    shape = cost.shape_of(grouped())
    head = 2 * 32 * 50
    each = [cost.prefill_flops(shape, [n] * 3) - head for n in (30, 20, 10)]
    assert 3 * (cost.prefill_flops(shape, [30, 20, 10]) - head) == sum(each)


def test_half_the_exact_count_is_pyramiddrops_where_keys_are_not_grouped():
    shape = cost.Shape(32, 4096, 11008, heads=32, kv_heads=32, head_width=128, vocabulary=32000)
    assert cost.layer_flops(shape, 576) == 2 * pyramiddrop_layer(576, **SEVEN)


def test_cache_of_llava_7b_in_half_precision():
    """0.5 MiB for each token: 32 layers of keys and values of 4096 numbers of two bytes."""
    shape = cost.Shape(32, 4096, 11008, heads=32, kv_heads=32, head_width=128, vocabulary=32000)
    assert cost.kv_bytes(shape, [612] * 32, 2) == 612 * 2**19


def test_cache_holds_grouped_heads_and_each_layers_own_length():
    assert cost.kv_bytes(cost.shape_of(grouped()), [30, 20, 10], 4) == 2 * 2 * 12 * 4 * 60


@pytest.mark.parametrize("lengths", [[], [21], [21] * 4])
def test_one_length_per_layer(lengths: list[int]):
    shape = cost.shape_of(grouped())
    with pytest.raises(ValueError, match="3 layers"):
        cost.prefill_flops(shape, lengths)
    with pytest.raises(ValueError, match="3 layers"):
        cost.kv_bytes(shape, lengths, 2)


def test_shape_of_a_multimodal_config_is_its_language_models():
    assert cost.shape_of(LlavaConfig(text_config=grouped())) == cost.shape_of(grouped())


def test_head_width_follows_from_the_width_where_the_config_is_silent():
    config = grouped()
    config.head_dim = None
    assert cost.shape_of(config).head_width == 8


# ---- printed tables -----------------------------------------------------------------------------


def fastv_mean(layers: int, removed: float, widths: dict[str, int]) -> float:
    """FastV, K=2: two layers with 36 text and 576 image tokens, the others with fewer."""
    full = fastv_layer(612, **widths)
    pruned = fastv_layer(36 + round((1 - removed) * 576), **widths)
    return (2 * full + (layers - 2) * pruned) / layers


def test_fastv_table_1():
    """Mean layer, 10^9. The printed 7B rows with pruning are 0.4 to 0.7 % below their formula."""
    assert fastv_layer(612, **SEVEN) / 1e9 == pytest.approx(99.3, abs=0.05)
    assert fastv_layer(612, **THIRTEEN) / 1e9 == pytest.approx(154.6, abs=0.05)
    assert fastv_mean(40, 0.5, THIRTEEN) / 1e9 == pytest.approx(84.6, abs=0.05)
    assert fastv_mean(32, 0.5, SEVEN) / 1e9 == pytest.approx(54.6, rel=0.007)
    assert fastv_mean(32, 0.75, SEVEN) / 1e9 == pytest.approx(32.8, rel=0.007)


def pyramiddrop_total(lengths: list[int]) -> float:
    return sum(pyramiddrop_layer(n, **SEVEN) for n in lengths) / 1e12


def test_pyramiddrop_tables():
    """All 32 layers, image tokens only, 10^12: full, PyramidDrop's own schedule, FastV K=2 50 %."""
    assert pyramiddrop_total([576] * 32) == pytest.approx(3.82, abs=0.005)
    staged = [576] * 8 + [288] * 8 + [144] * 8 + [72] * 8
    assert pyramiddrop_total(staged) == pytest.approx(1.78, abs=0.005)
    assert pyramiddrop_total([576] * 2 + [288] * 30) == pytest.approx(2.01, abs=0.005)


@pytest.mark.parametrize(("tokens", "three", "two"), [(192, 1.253, 0.976), (64, 0.416, 0.323)])
def test_input_level_budgets(tokens: int, three: float, two: float):
    """The usual budgets for LLaVA 7B, with three and with two FFN matrices."""
    assert pyramiddrop_total([tokens] * 32) == pytest.approx(three, abs=5e-4)
    total = visionzip_total(tokens, **SEVEN, layers=32) / 1e12
    assert total == pytest.approx(two, abs=5e-4)
