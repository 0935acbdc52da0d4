"""Build the finished examples of the page, so that it is alive before any model is loaded."""

from __future__ import annotations

import argparse
import json

from explorer.cases.records import MethodMap
from explorer.pico.data import questions, scenes
from explorer.tools.examples.rules import QUESTION, find_lost, find_opening, near_a_third
from explorer.ui.examples import FOLDER, LADDERED, NAMES, THUMB_SIDE

SCENES = {  # seed and question of those that no rule finds
    "corner": (41, "what is in the top right ?"),
    "find": (43, "find the cheese ."),
    "laptops": (44, "how many laptops are there ?"),
    "where": (33, "describe the picture ."),
    "bus": (69, "what is at the right ?"),  # which stays in view; counted anew, it has moved
}
LOST = ("exist", "count")  # kinds of question of which an example shows a lost answer


def make(seed: int, question: str, line: str = "", model: str = "pico") -> dict:
    """Compute one example: the case with all maps and `stored_budgets` answers, as it is stored.

    line: what one sees on it. What a method says of itself is not stored; `load` adds it.
    """
    from explorer import analyses
    from explorer.cases.cache import ResultCache
    from explorer.cases.request import CaseRequest
    from explorer.media.image import picture_url
    from explorer.ui.payloads.case import case_payload
    from explorer.ui.payloads.method import method_words

    scene, cache = scenes.make(seed), ResultCache(64_000_000)
    request = CaseRequest.make(model, scene.image, question)
    truth = questions.truths(scene).get(questions.normalise(question))
    analysis = analyses.analyse(request, cache=cache)
    answers = [
        analyses.answer(request, found.spec, budget, cache=cache)
        for found in analysis.methods
        for budget in stored_budgets(found, analysis.grid.count)
    ]
    suggestions = [question, *(q for q in questions.suggest(scene) if q != question)]
    case = case_payload(analysis, truth, suggestions, answers, lean=True)
    case["notes"] += [line] if line else []
    for method in case["methods"]:
        for word in method_words(method["key"]).keys() - {"key"}:
            del method[word]
    return {"seed": seed, "thumb": picture_url(scene.image, THUMB_SIDE), "case": case}


def stored_budgets(found: MethodMap, tokens: int) -> list[int]:
    """List the budgets whose answers an example holds; a live model fills in the others."""
    if found.spec in LADDERED:
        return list(found.ladder)
    return [near_a_third(found.ladder, tokens)]  # shown at first


def main() -> None:
    """Build every example anew; rules.py says from which scenes."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    first, line = find_opening()
    print(f"opening: scene {first}. {line}", flush=True)
    lost = {kind: find_lost(kind) for kind in LOST}
    built = {NAMES[0]: (first, QUESTION, line), **SCENES, **lost}
    for name in NAMES:
        file = FOLDER / f"{name}.json"
        text = json.dumps(make(*built[name]), separators=(",", ":"))
        file.write_text(text + "\n", encoding="utf-8")
        print(f"{file.name}: {len(text) // 1000} KB", flush=True)
