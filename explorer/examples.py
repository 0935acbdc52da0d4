"""Finished examples in assets/examples, so that the page is alive before any model is loaded.

`python -m explorer.examples` builds them: a scene, a question, every method's map and the answers
over its ladder of budgets, as the JSON that the page draws from. Reading them needs no model.
"""

from __future__ import annotations

import argparse
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.pico import questions, scenes

if TYPE_CHECKING:
    from explorer.results import MethodMap

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "examples"

# Seed of the scene and question. The first one is what a visitor sees first. With the weights of
# this writing [CLS] attention loses `corner`, `find` and `exist` at a third of the tokens, and the
# full model itself is wrong about `laptops`.
EXAMPLES: tuple[tuple[str, int, str], ...] = (
    ("middle", 11, "what is in the middle ?"),
    ("corner", 41, "what is in the top right ?"),
    ("find", 43, "find the cheese ."),
    ("exist", 55, "is there a pepper in the picture ?"),
    ("laptops", 44, "how many laptops are there ?"),
    ("count", 21, "how many things are there ?"),
    ("where", 33, "describe the picture ."),
)
LADDERED = ("clsattn", "fastv")  # methods whose whole ladder is stored
THUMB_SIDE = 96


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """List the examples that are built, in the order of the page."""
    return tuple(name for name, _, _ in EXAMPLES if (FOLDER / f"{name}.json").is_file())


@lru_cache(maxsize=len(EXAMPLES))
def load(name: str) -> dict:
    """Read one example: {"seed": of its scene, "case": what the stage of the page shows}."""
    from explorer.payload import method_words

    shown = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    found = shown["case"]["methods"]
    shown["case"]["methods"] = [method_words(method["key"]) | method for method in found]
    return shown


def thumbs() -> list[dict]:
    """Give the pictures of the examples for the strip: [{key, src, label}]."""
    return [
        {"key": name, "src": load(name)["thumb"], "label": load(name)["case"]["question"]}
        for name in names()
    ]


def make(name: str, seed: int, question: str, model: str = "pico") -> dict:
    """Compute one example: the case with all maps and `stored_budgets` answers, as it is stored.

    What a method says of itself is not stored; `load` adds it.
    """
    from explorer import jobs
    from explorer.memory import Memory
    from explorer.payload import case_payload, method_words, picture_url

    scene, memory = scenes.make(seed), Memory(64_000_000)
    truth = questions.truths(scene).get(questions.normalise(question))
    analysis = jobs.analyse(model, scene.image, question, memory)
    answers = [
        jobs.answer(model, scene.image, question, found.spec, budget, memory)
        for found in analysis.methods
        for budget in stored_budgets(found, analysis.grid.count)
    ]
    suggestions = [question, *(q for q in questions.suggest(scene) if q != question)]
    case = case_payload(analysis, truth, suggestions, answers, lean=True)
    for method in case["methods"]:
        for word in method_words(method["key"]).keys() - {"key"}:
            del method[word]
    return {"seed": seed, "thumb": picture_url(scene.image, THUMB_SIDE), "case": case}


def stored_budgets(found: MethodMap, tokens: int) -> list[int]:
    """List the budgets whose answers an example holds; a live model fills in the others."""
    if found.spec in LADDERED:
        return list(found.ladder)
    return [min(found.ladder, key=lambda budget: abs(budget - tokens / 3))]  # shown at first


def main() -> None:
    """Build every example anew."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, seed, question in EXAMPLES:
        file = FOLDER / f"{name}.json"
        text = json.dumps(make(name, seed, question), separators=(",", ":"))
        file.write_text(text + "\n", encoding="utf-8")
        print(f"{file.name}: {len(text) // 1000} KB")


if __name__ == "__main__":
    main()
