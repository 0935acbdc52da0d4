"""A model that cuts pictures up can do so less finely: a key, a case and a file of its own."""

from __future__ import annotations

import json

import pytest
import torch
from small_shapes import NEXT, ONEVISION, SMOLVLM, small

from explorer import analyses
from explorer.analyses.sharing import case_file
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.errors import BadLink, UnknownModel
from explorer.pico.data import scenes
from explorer.tools.bench.real.build import outline
from explorer.ui import link
from explorer.ui.explore import model_picker
from explorer.vlm.catalog import Catalog
from explorer.vlm.loader import ModelLoader, at_resolution, default_loader

QUESTION = "what is in the middle ?"


def test_a_resolution_is_a_key_of_its_own_and_full_the_model_itself():
    catalog = Catalog()
    whole = catalog.entry("smolvlm-256m@whole")
    assert (whole.key, whole.of, whole.resolution) == ("smolvlm-256m@whole", SMOLVLM, "whole")
    assert whole.title == "SmolVLM 256M, in one piece · runs on a CPU"
    assert catalog.entry("smolvlm-256m@full") == catalog.entry(SMOLVLM)
    assert SMOLVLM in catalog.entries() and whole.key not in catalog.entries()
    for wrong in ("smolvlm-256m@3x3", "pico@whole", "nothing@whole", "@whole", "smolvlm-256m@"):
        with pytest.raises(UnknownModel):
            catalog.entry(wrong)


def test_a_processor_suggests_one_piece_and_a_card_all(monkeypatch):
    for device, key in (("cpu", "smolvlm-256m@whole"), ("cuda", SMOLVLM)):
        monkeypatch.setattr(ModelLoader, "device", device)
        loader = default_loader()
        assert loader.suggested(SMOLVLM) == key
        assert loader.suggested("smolvlm-256m@2x2") == "smolvlm-256m@2x2"
        assert loader.suggested("pico") == "pico"
        listed = json.loads(model_picker.choice("pico").value)["resolutions"]
        assert loader.catalog.entry(listed[SMOLVLM][0][1]).key == key
        assert len(listed[SMOLVLM]) == 3 and "pico" not in listed


def test_checkpoints_see_fewer_tokens_at_coarser_resolutions():
    wide, square = (1600, 900), (1000, 1000)
    counts = {
        SMOLVLM: {"whole": (64, 64), "2x2": (320, 320), "full": (832, 1088)},
        "internvl3-1b": {"whole": (256, 256), "2x2": (768, 1280), "full": (2304, 2560)},
        NEXT: {"whole": (577, 577), "2x2": (1948, 2928), "full": (1948, 2928)},
        ONEVISION: {"whole": (730, 730), "2x2": (2379, 3699), "full": (7269, 7371)},
    }
    for key, of_resolutions in counts.items():
        vlm = outline(key)
        for resolution, expected in of_resolutions.items():
            entry = Catalog().entry(f"{key}@{resolution}")
            seen = at_resolution(vlm, entry) if entry.of else vlm
            found = tuple(seen.family.grid(seen, *size).count for size in (wide, square))
            assert found == expected, (key, resolution)


@torch.no_grad()
def test_canvases_are_packed_as_transformers_packs_those_that_are_cut():
    image = scenes.make(2).image.resize((130, 100))
    sizes = torch.tensor([[100, 130]])
    for key in (NEXT, ONEVISION):
        vlm = small(key)
        catalog, model, found = default_loader().catalog, vlm.model.model, {}
        for resolution in ("whole", "2x2"):
            seen = at_resolution(vlm, catalog.entry(f"{key}@{resolution}"))
            case = open_case(CaseRequest.make(seen, image, QUESTION))
            chat = seen.family.build_prompt(seen, QUESTION, case.vision.grid)
            found[resolution] = features = case.vision.output.features
            assert len(chat.visual_positions) == case.vision.grid.count == len(features)
            assert seen.model is vlm.model, "the same weights"
        canvases = seen.processor.image_processor.image_grid_pinpoints
        all_canvases = model.config.image_grid_pinpoints
        assert 0 < len(canvases) < len(all_canvases)

        looks = vlm.processor.image_processor
        cut = looks([image], image_grid_pinpoints=canvases, return_tensors="pt")
        model.config.image_grid_pinpoints = canvases
        own = model.get_image_features(**cut, return_dict=True).pooler_output[0]
        assert torch.allclose(found["2x2"], own, atol=1e-5), key
        model.config.image_grid_pinpoints = all_canvases

        alone = cut["pixel_values"][:, :1]  # its first view is the whole picture
        if key == ONEVISION:  # which it takes alone where a prompt has two
            two = {"pixel_values": alone.repeat(2, 1, 1, 1, 1), "image_sizes": sizes.repeat(2, 1)}
            more = {"batch_num_images": torch.tensor([2]), "return_dict": True}
            own = model.get_image_features(**two, **more).pooler_output[0]
        else:
            states = model.vision_tower(alone[0], output_hidden_states=True).hidden_states[-2]
            whole = model.multi_modal_projector(states[:, 1:])
            [own], _ = model.pack_image_features([whole], sizes, "default", model.image_newline)
        assert torch.allclose(found["whole"], own, atol=1e-5), key
        assert torch.equal(found["whole"][-1], model.image_newline)


def test_an_answer_at_each_resolution_is_a_case_of_its_own():
    vlm, image = small(SMOLVLM), scenes.make(1).image.resize((90, 90))
    ids, tokens = [], []
    for resolution in ("whole", "2x2", "full"):
        entry = default_loader().catalog.entry(f"{SMOLVLM}@{resolution}")
        seen = at_resolution(vlm, entry) if entry.of else vlm
        assert seen.model is vlm.model
        analysis = analyses.score_all(CaseRequest.make(seen, image, QUESTION))
        ids.append(analysis.id)
        tokens.append(analysis.grid.count)
        told = [note for note in analysis.notes if "Choose all pieces" in note]
        assert len(told) == (resolution != "full")
        assert analysis.model == entry.key
    assert len(set(ids)) == 3 and tokens == [4, 20, 20]


def test_files_and_links_carry_the_resolution_and_old_ones_still_open():
    catalog = default_loader().catalog
    coarse, plain = (catalog.entry(key) for key in ("smolvlm-256m@2x2", "pico"))
    assert case_file.model_of(coarse).resolution == "2x2"
    assert case_file.model_of(plain).resolution is None
    old = case_file.StoredModel.model_validate({"key": "pico", "source": "assets/pico"})
    assert old == case_file.model_of(plain)
    read = link.read("?scene=41&model=smolvlm-256m%402x2")
    assert (read.model, read.example) == ("smolvlm-256m@2x2", None)
    assert link.read("?scene=41&model=smolvlm-256m@full").model == SMOLVLM
    with pytest.raises(BadLink, match="no such model"):
        link.read("?scene=41&model=pico@whole")
