"""Finished examples in assets/examples, so that the page is alive before any model is loaded.

`python -m explorer examples` builds them: a scene, a question, every method's map and the answers
over its ladder of budgets, as the JSON that the page draws from. Reading them needs no model.
"""

from __future__ import annotations

import json
from functools import lru_cache

from explorer import ROOT

FOLDER = ROOT / "assets" / "examples"

NAMES = ("opening", "corner", "find", "exist", "laptops", "count", "where", "left")
"""In the order of the page; the first is what a visitor sees first."""
LADDERED = ("clsattn", "fastv")  # methods whose whole ladder is stored
THUMB_SIDE = 96


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """List the examples that are built, in the order of the page."""
    return tuple(name for name in NAMES if (FOLDER / f"{name}.json").is_file())


@lru_cache(maxsize=len(NAMES))
def load(name: str) -> dict:
    """Read one example: {"seed": of its scene, "case": what the stage of the page shows}."""
    from explorer.ui.payloads.method import method_words

    shown = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    found = shown["case"]["methods"]
    shown["case"]["methods"] = [method_words(method["key"]) | method for method in found]
    return shown


def thumbs() -> list[dict]:
    """Give the pictures of the examples for the strip: [{key, src, label, seed}]."""
    return [
        {
            "key": name,
            "src": load(name)["thumb"],
            "label": load(name)["case"]["question"],
            "seed": load(name)["seed"],
        }
        for name in names()
    ]
