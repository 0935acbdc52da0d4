"""Build the finished examples of the page, so that it is alive before any model is loaded."""

from __future__ import annotations

import argparse
import json

from explorer.cases.records import MethodMap
from explorer.pico.data import questions, scenes
from explorer.ui.examples import EXAMPLES, FOLDER, LADDERED, THUMB_SIDE


def make(name: str, seed: int, question: str, model: str = "pico") -> dict:
    """Compute one example: the case with all maps and `stored_budgets` answers, as it is stored.

    What a method says of itself is not stored; `load` adds it.
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
