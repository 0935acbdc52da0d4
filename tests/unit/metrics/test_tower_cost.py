"""FLOPs of a vision tower against a count of what transformers' own multiplies."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, CLIPVisionModel

from explorer.metrics import cost


def test_tower_flops_are_those_that_are_counted_while_it_runs():
    config = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4
    )
    encoder = CLIPVisionModel._from_config(config, attn_implementation="eager").encoder
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder(inputs_embeds=torch.randn(2, 17, 32))
    shape = cost.tower_shape_of(config)
    assert cost.tower_flops(shape, 2, [34, 34, 34]) == counter.get_total_flops()
    assert cost.tower_flops(shape, 2, [34, 20, 20]) < counter.get_total_flops()


def test_a_tower_of_another_build_has_no_shape():
    assert cost.tower_shape_of(object()) is None
    with pytest.raises(ValueError, match="2 lengths for 3 layers"):
        cost.tower_flops(cost.TowerShape(3, 8, 8), 1, [5, 5])
