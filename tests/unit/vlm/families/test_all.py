"""What holds for all families alike; each has a file of its own, and see family_contract.py."""

from __future__ import annotations

import inspect

import pytest

from explorer import errors
from explorer.vlm.catalog import TILING, read_entries
from explorer.vlm.families import FAMILIES, family_of


def test_an_unknown_type_of_model_is_refused_with_a_sentence():
    with pytest.raises(errors.ModelUnavailable, match="llava"):
        family_of("bert")


@pytest.mark.parametrize("family", dict.fromkeys(FAMILIES.values()), ids=lambda f: f.__name__)
def test_every_family_has_the_same_five_functions_and_frames_where_it_reads_videos(family):
    takes = {
        "preprocess": ["vlm", "image"],
        "grid": ["vlm", "width", "height"],
        "build_prompt": ["vlm", "question", "grid"],
        "vision_tower": ["vlm"],
        "decoder": ["vlm"],
    }
    if hasattr(family, "preprocess_frames"):
        takes["preprocess_frames"] = ["vlm", "images", "time"]
    if family.__name__.rpartition(".")[2] in TILING:
        takes["coarser"] = ["looks", "resolution"]
    assert set(family.__all__) == set(takes)
    for name, parameters in takes.items():
        assert list(inspect.signature(getattr(family, name)).parameters) == parameters


def test_every_model_of_the_zoo_is_of_a_known_family():
    modules = {family.__name__.rpartition(".")[2] for family in FAMILIES.values()}
    for entry in read_entries().values():
        assert entry.family in modules, entry.key
        assert entry.licence and entry.use and entry.memory and entry.hardware
        assert bool(entry.hub) != bool(entry.path)
