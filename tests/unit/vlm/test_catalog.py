"""A model that isn't listed can be given when the program starts; what can't be loaded says why."""

from __future__ import annotations

import json
import re

import pytest
from conftest import ROOT
from family_contract import QUESTION, noise
from unit.vlm.families import test_llava_next as llava_next

import app
from explorer import analyses
from explorer.analyses.sharing import case_file
from explorer.cases.generation import FULL
from explorer.cases.request import CaseRequest
from explorer.errors import ModelUnavailable, UnknownModel
from explorer.media.image import open_picture
from explorer.tools.cases import replay
from explorer.vlm.catalog import Catalog
from explorer.vlm.loader import ModelLoader, default_loader


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a tiny LLaVA-NeXT, and the model that was saved."""
    folder = tmp_path_factory.mktemp("models") / "tiny-next"
    vlm = llava_next.TestMistral.build(False)
    vlm.model.save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    return folder, vlm


def folder_of(path, **config):
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_a_folder_with_a_saved_model_works_like_a_listed_one(saved, catalog):
    folder, vlm = saved
    key = catalog.register(str(folder))
    assert key == "tiny-next" == catalog.register(str(folder))
    assert list(catalog.entries())[-1] == key and catalog.entry(key).title == "tiny-next"
    found = analyses.answer(
        CaseRequest.make(ModelLoader(catalog=catalog).load(key), noise(), QUESTION), "visionzip", 20
    )
    wanted = analyses.answer(CaseRequest.make(vlm, noise(), QUESTION), "visionzip", 20)
    assert found.text.startswith(wanted.text) and found.layers == wanted.layers


def test_a_case_of_a_given_model_can_be_replayed(saved, monkeypatch, capsys, tmp_path):
    folder, _ = saved
    monkeypatch.setattr(default_loader(), "catalog", Catalog())
    case = (default_loader().catalog.register(str(folder)), open_picture(noise()), QUESTION)
    answers = [
        analyses.answer(CaseRequest.make(*case), FULL, 1),
        analyses.answer(CaseRequest.make(*case), "visionzip", 20),
    ]
    file = tmp_path / "case.json"
    file.write_text(case_file.save(CaseRequest.make(*case), answers[0], answers[1:]))
    for options, code in (([], 2), (["--model", str(folder)], 0)):
        monkeypatch.setattr(default_loader(), "catalog", Catalog())
        monkeypatch.setattr("sys.argv", ["replay", *options, str(file)])
        assert replay.main() == code, capsys.readouterr().out


def test_what_is_listed_keeps_its_key(catalog):
    assert catalog.register("pico") == catalog.register(str(ROOT / "assets" / "pico")) == "pico"
    assert catalog.register("llava-hf/llava-1.5-7b-hf") == "llava-1.5-7b"


def test_a_folder_with_the_name_of_a_listed_model_does_not_replace_it(tmp_path, catalog):
    key = catalog.register(str(folder_of(tmp_path / "pico", model_type="llava")))
    assert key != "pico" and catalog.entry("pico").path == "assets/pico"


@pytest.mark.parametrize("model_type", ["bert", "never_heard"])
def test_an_architecture_that_is_not_known_is_refused(tmp_path, model_type, catalog):
    with pytest.raises(ModelUnavailable, match=r"not supported yet; these are: .*qwen2_vl"):
        catalog.register(str(folder_of(tmp_path / "model", model_type=model_type)))


def test_a_folder_without_a_model_is_refused(tmp_path, catalog):
    with pytest.raises(ModelUnavailable, match="There is no model in"):
        catalog.register(str(tmp_path))
    key = catalog.register(str(folder_of(tmp_path / "no-weights", model_type="llava")))
    with pytest.raises(ModelUnavailable, match="no complete model"):
        ModelLoader(catalog=catalog).load(key)


def test_a_repository_that_can_not_be_reached_is_refused(catalog):
    with pytest.raises(ModelUnavailable, match=r"of nobody/nothing could not be fetched"):
        catalog.register("nobody/nothing")


def test_a_name_that_means_nothing_is_refused(catalog):
    with pytest.raises(UnknownModel, match="no folder here, no repository on the hub"):
        catalog.register("lava")


def test_the_app_says_in_one_sentence_what_is_wrong_with_a_model(monkeypatch, tmp_path, capsys):
    folder = folder_of(tmp_path / "model", model_type="bert")
    monkeypatch.setattr("sys.argv", ["app.py", "--model", str(folder)])
    monkeypatch.setattr(default_loader(), "configure", lambda settings, waits: None)
    with pytest.raises(SystemExit) as ended:
        app.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert re.fullmatch(r"Models of type bert are not supported yet[^.]*\.\n", said)
