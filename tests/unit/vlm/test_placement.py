"""A model whose weights accelerate moves about answers as one that stays where it is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from accelerate import dispatch_model
from transformers import AutoModelForImageTextToText, AutoProcessor

from explorer import analyses
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.vlm import devices
from explorer.vlm.catalog import read_entries
from explorer.vlm.loader import wrap

QUESTION = "what is in the middle ?"


@pytest.fixture(scope="module")
def spread(tmp_path_factory):
    """Pico with half of its layers on the disk: their weights come and go with every call."""
    entry = read_entries()["pico"]
    model = AutoModelForImageTextToText.from_pretrained(entry.source, dtype=torch.float32)
    places = {"model.vision_tower": "cpu", "model.multi_modal_projector": "cpu"}
    places |= {"model.language_model.embed_tokens": "cpu", "model.language_model.norm": "cpu"}
    places |= {"model.language_model.rotary_emb": "cpu", "lm_head": "cpu"}
    for layer in range(len(model.get_decoder().layers)):
        places[f"model.language_model.layers.{layer}"] = "disk" if layer % 2 else "cpu"
    folder = str(tmp_path_factory.mktemp("offloaded"))
    dispatch_model(model, places, main_device="cpu", offload_dir=folder, force_hooks=True)
    processor = AutoProcessor.from_pretrained(entry.source)
    return wrap(entry, devices.gather(model), processor, "llava")


def test_weights_are_away_between_calls(spread):
    layers = spread.model.get_decoder().layers
    assert {next(layer.parameters()).device.type for layer in layers} == {"cpu", "meta"}
    assert spread.device == torch.device("cpu")


@pytest.mark.parametrize("method", ["full", "clsattn", "fastv", "sparsevlm", "transprune"])
def test_answers_are_the_same(spread, method):
    image = scenes.make(5).image
    here, away = (
        analyses.answer(CaseRequest.make(m, image, QUESTION), method, 64) for m in ("pico", spread)
    )
    assert away.text == here.text and away.layers == here.layers
    assert away.p_full == pytest.approx(here.p_full, rel=1e-4)


def test_every_module_sends_back_what_it_gives(spread):
    hooks = [m._hf_hook for m in spread.model.modules() if hasattr(m, "_hf_hook")]
    each = [one for hook in hooks for one in getattr(hook, "hooks", (hook,))]
    assert len(each) > 50 and all(one.io_same_device for one in each)


def test_inputs_go_to_the_first_card():
    model = SimpleNamespace(hf_device_map={"tower": "cpu", "a": 1, "b": 0, "c": "disk"})
    assert devices.first_device(model) == torch.device("cuda", 1)
    model = SimpleNamespace(hf_device_map={"tower": "cpu", "c": "disk"})
    assert devices.first_device(model) == torch.device("cpu")


def test_only_what_one_card_does_not_hold_is_spread(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (20e9, 24e9))
    asked = [
        devices.placement_settings(False, "cuda", nbytes, torch.bfloat16) for nbytes in (14e9, 19e9)
    ]
    assert asked == [{}, {"device_map": "auto"}]
    assert devices.placement_settings(False, "cpu", 90e9, torch.float32) == {}


def test_four_bits_leave_the_tower_as_it_is():
    pytest.importorskip("bitsandbytes")
    how = devices.placement_settings(True, "cuda", 0, torch.bfloat16)
    assert how["quantization_config"].load_in_4bit and how["device_map"] == {"": 0}
    entry = read_entries()["pico"]
    model = AutoModelForImageTextToText.from_pretrained(
        entry.source, **devices.placement_settings(True, "cpu", 0, torch.float32)
    )
    packed = {name for name, weight in model.named_parameters() if weight.dtype == torch.uint8}
    assert packed and all("language_model" in name for name in packed)
