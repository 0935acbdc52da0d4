"""A new method by the five steps of README.md: one file, one line in the list, and it is there."""

from __future__ import annotations

import sys
import types

import pytest
from conftest import ROOT

from explorer.analyses import api
from explorer.methods import catalog
from explorer.pico.data import scenes
from explorer.ui.payloads.case import case_payload

QUESTION = "what is in the middle ?"


@pytest.fixture
def loudest_method(monkeypatch):
    """Steps 1 to 3: a copy of clsattn.py with another key and another score; step 4: the list."""
    source = (ROOT / "explorer" / "methods" / "attention" / "clsattn.py").read_text()
    source = source.replace('KEY = "clsattn"', 'KEY = "loudest"')
    source = source.replace('NEEDS = frozenset({"cls_attention"})', "NEEDS = frozenset()")
    begin = source.index("    if signals.cls_attention is None")
    end = source.index("def keep(")
    source = source[:begin] + "    return signals.features.float().norm(dim=1)\n\n\n" + source[end:]
    module = types.ModuleType("explorer.methods.loudest")
    exec(compile(source, "loudest.py", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(catalog, "METHODS", (*catalog.METHODS, module))
    return module


def test_it_is_analysed_drawn_and_answered_like_the_others(loudest_method):
    picture = scenes.make(3).image
    analysis = api.analyse("pico", picture, QUESTION)
    found = analysis.methods[-1]
    assert found.spec == "loudest"
    assert case_payload(analysis)["methods"][-1]["key"] == "loudest"
    answer = api.answer("pico", picture, QUESTION, "loudest", 40)
    assert answer.stages[-1].kept.tolist() == sorted(found.order[:40].tolist())
