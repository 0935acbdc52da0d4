"""Finished examples in assets/examples, so that the page is alive before any model is loaded.

`python -m explorer examples` builds them: a scene, a question, every method's map and the answers
over its ladder of budgets, as the JSON that the page draws from. Reading them needs no model.
The page brings the first one with it as far as it is seen at first; the rest follows in a file.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

from explorer import ROOT

FOLDER = ROOT / "assets" / "examples"

NAMES = ("opening", "corner", "find", "exist", "laptops", "count", "where", "bus")
"""In the order of the page; the first is what a visitor sees first."""
LADDERED = ("clsattn", "fastv")  # methods whose whole ladder is stored
FIRST_METHOD = "clsattn"  # what the page shows at first, as in assets/page/common/store.js
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


@lru_cache(maxsize=1)
def opening() -> dict:
    """Give what the page opens with: the first example, with the method that is shown at first.

    Of the others it has what a list names; the rest is under `rest` (see `opening_rest`).
    """
    from explorer.methods import catalog
    from explorer.ui.payloads.method import method_entry

    shown = load(names()[0])
    case = shown["case"]
    methods = [
        method if method["key"] == FIRST_METHOD else method_entry(catalog.resolve(method["key"]))
        for method in case["methods"]
    ]
    answers = [answer for answer in case["answers"] if answer["method"] == FIRST_METHOD]
    name, _ = opening_rest()
    return shown | {"case": case | {"methods": methods, "answers": answers, "rest_file": name}}


@lru_cache(maxsize=1)
def opening_rest() -> tuple[str, str]:
    """Give what `opening` leaves out: the name of the file, which tells its content, and its text.

    It reads as a reply of the channel of maps does: {case, methods, answers}.
    """
    case = load(names()[0])["case"]
    methods, answers = (
        [each for each in case[kind] if each[key] != FIRST_METHOD]
        for kind, key in (("methods", "key"), ("answers", "method"))
    )
    text = json.dumps({"case": case["id"], "methods": methods, "answers": answers})
    return f"opening-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json", text


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
