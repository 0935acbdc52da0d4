"""Every word of the page that has a definition has one: in one file, checked when it is read."""

from __future__ import annotations

import re

import pytest
import yaml

from explorer import ROOT
from explorer.errors import CannotStart
from explorer.ui import page
from explorer.ui.tabs import glossary

USED = re.compile(r'\bterm\("([^"]+)"|\[[\w, ]+\]\(([a-z -]+)\)|\bword: "([^"]+)"')
# what the page can't do without, in the order of its tabs
NAMED = "nested|mean budget|floor|kl|log-probability|mdi|aei|k-star|alpha|q|tau".split("|")


def test_every_word_that_a_script_shows_is_defined():
    known = {term.key for term in glossary.terms()}
    used = set()
    for script in (ROOT / "assets" / "page").rglob("*.js"):
        found = USED.findall(script.read_text(encoding="utf-8"))
        used |= {key for keys in found for key in keys if key}
    assert {"alpha", "logit lens", "kv cache"} <= used <= known
    assert set(NAMED) <= known


def test_every_word_stands_below_a_tab_that_there_is():
    demo = page.build()
    tabs = {block.label for block in demo.blocks.values() if block.get_block_name() == "tabitem"}
    for term in glossary.terms():
        assert set(term.tabs) <= tabs, term.key
    assert {tab for term in glossary.terms() for tab in term.tabs} == tabs, "each tab has words"


@pytest.mark.parametrize(
    "change", [{"is": ""}, {"is": "no full stop"}, {"source": None}, {"more": 1}, {"key": 3}]
)
def test_a_word_that_is_not_in_order_is_named(tmp_path, change):
    good = {"key": "a", "word": "a", "is": "It is so.", "source": "ours", "tabs": ["Explore"]}
    file = tmp_path / "glossary.yaml"
    file.write_text(yaml.safe_dump([good]))
    assert len(glossary.terms.__wrapped__(file)) == 1
    file.write_text(yaml.safe_dump([good, good | {"key": "b"} | change]))
    with pytest.raises(CannotStart, match="1 →"):
        glossary.terms.__wrapped__(file)
    file.write_text(yaml.safe_dump([good, good]))
    with pytest.raises(CannotStart, match="twice"):
        glossary.terms.__wrapped__(file)
