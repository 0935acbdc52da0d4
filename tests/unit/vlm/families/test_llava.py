"""LLaVA-1.5 and checkpoints of its shape: one view, with CLIP or with SigLIP."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from family_contract import (
    QUESTION,
    Promises,
    noise,
    template,
    text_config,
    tokenizer,
    vision_config,
    wrapped,
)
from transformers import (
    CLIPImageProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from explorer import analyses
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.errors import MethodUnavailable

MERGING = "mustdrop?tower=on"


def tiny(real: bool, cls: bool, kv_heads: int, side: int = 56):
    """A random LLaVA with 4 x 4 patches; without [CLS] it has a SigLIP tower."""
    side = 336 if real else side
    words = tokenizer({"image_token": "<image>"}, bos_token="<s>")
    strategy = "default" if cls else "full"
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}),
        words,
        patch_size=14,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=int(cls),
        chat_template=template("<image>", begins="<s>"),
    )
    tower = "clip_vision_model" if cls else "siglip_vision_model"
    config = LlavaConfig(
        vision_config=vision_config(side, 14, model_type=tower),
        text_config=text_config(len(words), model_type="llama", num_key_value_heads=kv_heads),
        image_token_index=processor.image_token_id,
        vision_feature_layer=-2 if cls else -1,
        vision_feature_select_strategy=strategy,
    )
    return wrapped(LlavaForConditionalGeneration, config, processor)


class Llava(Promises):
    """The processor's own pixels are cut at both ends; ours are padded, as in the original."""

    exact = (336, 336)
    processors_pixels = False


class TestClip(Llava):
    cls = True

    def test_no_stand_in_for_the_cls_is_told_of(self, vlm):
        notes = analyses.analyse(CaseRequest.make(vlm, noise(), QUESTION)).notes
        assert not any("[CLS]" in note for note in notes)

    def test_flat_areas_become_one_token_in_the_tower(self, real):
        answer = analyses.answer(CaseRequest.make(real, noise(), QUESTION), MERGING, 300)
        merged = answer.stages[0]
        assert answer.layers[0] == 576 - 8 * merged.merged == 576 - 8 * 16
        assert merged.tower == (577, 577 - 8 * 16, 577 - 8 * 16)
        assert abs(answer.mean - 300) <= 1

    @staticmethod
    def build(real):
        return tiny(real, cls=True, kv_heads=4)


class TestSiglip(Llava):
    """As llava-interleave-qwen: grouped heads, and a side that is no multiple of the patch."""

    def test_what_stands_in_for_the_cls_is_told_with_the_methods_that_use_it(self, vlm):
        notes = analyses.analyse(CaseRequest.make(vlm, noise(), QUESTION)).notes
        instead = {
            method: note for note in notes for method in ("HiRED", "ToDRE") if method in note
        }
        assert "attention that a patch receives" in instead["HiRED"]
        assert "nearest to the mean" in instead["ToDRE"]
        assert any("needs a vision tower with a [CLS]" in note for note in notes)

    def test_without_a_cls_nothing_is_merged_in_the_tower(self, real):
        with pytest.raises(MethodUnavailable, match=r"only where it has a \[CLS\]"):
            analyses.answer(CaseRequest.make(real, noise(), QUESTION), MERGING, 300)

    @staticmethod
    def build(real):
        return tiny(real, cls=False, kv_heads=2, side=60)


def test_prompt_signals_tell_of_the_words_and_places():
    vlm = TestClip.build(False)
    case = open_case(CaseRequest.make(vlm, noise(180, 60), QUESTION))
    signals = case.prompt(frozenset({"question", "embed", "padding", "areas"})).signals
    ids = vlm.family.build_prompt(vlm, QUESTION, case.vision.grid).input_ids
    table = vlm.model.get_input_embeddings().weight
    assert signals.question == QUESTION
    assert torch.equal(signals.embed("the picture"), table[ids[0, -3:-1]])
    assert signals.padding.tolist() == case.vision.grid.padding.tolist()
    assert signals.padding.any()
    assert signals.areas.tolist() == [[0, 0, 1, 1]]


def test_the_projector_tells_small_nudges_apart_in_half_precision_too():
    """ZOO-Prune divides differences by the nudge: rounding to bfloat16 would drown them."""
    exact = TestClip.build(False)
    half = replace(exact, model=deepcopy(exact.model).to(torch.bfloat16))
    case = open_case(CaseRequest.make(half, noise(60, 60), QUESTION))
    signals = case.prompt(frozenset({"project", "project_difference"})).signals
    weights = half.model.model.multi_modal_projector
    x = torch.randn(4, weights.linear_1.in_features)
    exactly = deepcopy(weights).double()
    assert torch.equal(signals.project(x), deepcopy(weights).float()(x))
    nudge = 0.01 * torch.randn(3, 1, weights.linear_1.in_features)
    expected = exactly((x + nudge).double()) - exactly((x - nudge).double())
    assert torch.allclose(
        signals.project_difference(x, nudge).double(), expected, rtol=1e-3, atol=1e-6
    )
    assert weights.linear_1.weight.dtype == torch.bfloat16
