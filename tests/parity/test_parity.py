"""Every golden file in the folder GOLDENS: inputs and outputs recorded from the original code.

The part of a file's name before the first "_" chooses the runner. A file of a method that this
project doesn't have is skipped by name; a file that has a runner and can't be run fails.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from explorer import ROOT
from parity import (
    allotting,
    before_llm,
    clusters,
    crops,
    effects,
    graphs,
    in_tower,
    inside,
    inside_answers,
    learned,
    llm,
    metrics,
    oracles,
    regions,
    repair,
    selection,
    several_stages,
    tower,
    values,
)
from parity.reading import load

FOLDER = Path(os.environ.get("GOLDENS") or ROOT / "tests" / "goldens")

GROUPS = (
    tower, graphs, selection, before_llm, llm, inside, learned, metrics, oracles, regions,
    allotting, several_stages, clusters, crops, repair, values, in_tower, effects,
    inside_answers,
)  # fmt: skip
RUNNERS = {prefix: run for group in GROUPS for prefix, run in group.RUNNERS.items()}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.npz")), ids=lambda path: path.name)
def test_parity_with_the_official_code(path: Path):
    runner = RUNNERS.get(path.name.split("_")[0])
    if runner is None:
        pytest.skip(f"{path.name}: no method of this project")
    runner(load(path))


def test_there_are_goldens():
    assert list(FOLDER.glob("*.npz")), f"no golden files in {FOLDER}"
