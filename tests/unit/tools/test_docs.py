"""README.md keeps its promises: the list of methods, the commands, the tree, the front matter."""

from __future__ import annotations

import re

import pytest
import yaml
from conftest import ROOT

from explorer.methods import catalog
from explorer.methods.method import Method
from explorer.tools import docs
from explorer.vlm.catalog import DEFAULT

README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = sorted((ROOT / "explorer").rglob("*.py"))


@pytest.mark.parametrize("file", docs.GENERATED, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_said_of_methods_is_generated_from_their_cards(file):
    assert docs.written(file) == docs.GENERATED[file](), "run: python -m explorer docs"


def test_the_contract_of_methods_is_told_in_full():
    text = docs.OF_METHODS.read_text(encoding="utf-8")
    names = {*vars(Method), *Method.__annotations__} - {"options"}  # declared by `option`
    for name in [name for name in names if not name.startswith("_")]:
        assert re.search(rf"`(\w+\.)?{name}\b", text), name


def test_every_method_and_model_is_named():
    for method in (*catalog.METHODS, *catalog.OF_VIDEOS):
        assert f"`{method.card.key}`" in README
    assert DEFAULT in README


def test_front_matter_is_what_a_space_needs():
    front = yaml.safe_load(README.split("---")[1])
    assert front["sdk"] == "gradio" and (ROOT / front["app_file"]).is_file()
    pinned = re.search(r"^gradio==(\d+\.\d+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert front["sdk_version"].startswith(pinned.group(1))
    assert front["python_version"] == "3.12"
    assert len(front["short_description"]) <= 60


def test_everything_in_the_tree_exists():
    tree = README.split("## What is where")[1].split("```")[1]
    folder = ROOT
    for line in filter(None, tree.splitlines()):
        name = line.split()[0]
        folder = ROOT if not line.startswith(" ") else ROOT / "explorer"
        assert (folder / name).exists(), name
        for other in re.findall(r"(\w+\.py):", line.partition(name)[2]):
            assert (folder / other).exists(), other


def test_files_and_pictures_that_are_linked_exist():
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (ROOT / target).exists(), target


def test_there_are_exactly_two_commands_to_start_with():
    setup = README.split("## Run it")[1].split("## ")[0]
    assert len(re.findall(r"```bash\n(.+)\n```", setup)) == 2


def test_files_stay_small_and_say_what_they_are_for():
    files = {file: file.read_text(encoding="utf-8").splitlines() for file in FILES}
    assert {str(file): len(lines) for file, lines in files.items() if len(lines) > 300} == {}
    assert [str(file) for file, lines in files.items() if not lines[0].startswith('"""')] == []


def test_the_entry_point_stays_small():
    assert len((ROOT / "app.py").read_text().splitlines()) <= 60


def test_no_file_is_too_large_for_plain_git():
    for file in (ROOT / "assets").rglob("*"):
        assert file.stat().st_size < 10_000_000, file
