"""VTW's search for its layer: what each K costs, and which K is the first that costs little."""

from __future__ import annotations

import torch
from tiny_models import random_prompt, taken_apart, tiny_llama

from explorer.analyses.inside.withdrawal import first_layer_within, withdrawal_divergence
from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.inside_llm.vtw import VTW
from explorer.methods.signals import Size, Stage
from explorer.tools.calibration.vtw_layer import table


def test_shared_layers_give_what_a_run_for_each_layer_gives():
    decoder, prompt = taken_apart(tiny_llama(kv_heads=2)), random_prompt()
    whole = prefill(decoder, prompt).logits.log_softmax(-1)
    found = withdrawal_divergence(decoder, prompt, first_layer=1)
    for layer, ours in zip(range(1, 6), found, strict=True):
        plan = PruningPlan((Stage(layer, 0),), VTW().keep)
        alone = prefill(decoder, prompt, plan).logits.log_softmax(-1)
        reference = torch.nn.functional.kl_div(whole, alone, reduction="sum", log_target=True)
        torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-6)
    assert found.min() > 1e-4, "the picture changed nothing: the test is vacuous"
    assert torch.equal(withdrawal_divergence(decoder, prompt, 5), found[4:])
    assert withdrawal_divergence(decoder, prompt, 6).shape == (0,)


def test_the_first_crossing_counts_even_if_the_curve_rises_again():
    curve = torch.tensor([0.5, 0.1, 0.4, 0.05])
    assert first_layer_within(curve, 0.2) == 6
    assert first_layer_within(curve, 0.06) == 8
    assert first_layer_within(curve, 0.01) == 9  # none: nothing leaves
    assert first_layer_within(curve, 0.5, first_layer=1) == 1


def test_the_budget_that_the_search_names_gives_the_layer_that_it_found():
    size = Size(196, 12, 14)
    for layer in range(5, 12):
        found = torch.full((7,), 1.0)
        found[layer - 5 :] = 0.001
        last = table(found, size.tokens, eta=0.003).splitlines()[-1]
        assert last.startswith(f"K = {layer} of 12")
        budget = int(last.split()[-1].rstrip("."))
        assert VTW().schedule(size, budget) == [Stage(layer, 0)]
    assert "every layer" in table(torch.ones(7), size.tokens, eta=0.003)
