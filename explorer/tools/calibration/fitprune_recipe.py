"""Fit FitPrune's recipes on scenes: `python -m explorer fitprune-recipe --model pico`.

The authors' fit (arXiv 2409.10197), for 10 to 90 % fewer FLOPs over the visual tokens. It is
calibration, not training: no weight changes, and the recipe is the same for every picture. What it
writes is offered by the method's option `recipe` from the next start on. `--picture FILE --question
TEXT` fits a recipe of one picture instead, and prints how it differs from the model's own; it is
written only where `--into` says.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from explorer.analyses.recipe_fitting import fit
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.methods.ops.recipes import ASSETS, FILE, RECIPES, Recipes
from explorer.metrics.cost import shape_of
from explorer.tools.calibration.samples import sample_requests
from explorer.vlm.catalog import CUSTOM_HELP, DEFAULT
from explorer.vlm.components import Vlm
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import cpu_threads

SAVED = (10, 20, 30, 40, 50, 55, 60, 70, 80, 90)  # per cent of the FLOPs, as the authors ship
QUESTION = "what is in the picture ?"


def recipes(
    vlm: Vlm, requests: Iterable[CaseRequest], saved: Sequence[int] = SAVED
) -> dict[str, object]:
    """Fit one recipe per goal; gives what is stored: tokens, samples, saved and deleted [R][L]."""
    with cpu_threads(vlm.run_threads):
        cases = [open_case(request) for request in requests]
        decoder, prompts = cases[0].decoder, [case.prompt() for case in cases]
        shape = shape_of(decoder.body.config)
        deleted = [fit(decoder, prompts, shape, 1 - percent / 100) for percent in saved]
    tokens = cases[0].size.tokens
    return {"tokens": tokens, "samples": len(cases), "saved": list(saved), "deleted": deleted}


def from_the_usual(key: str, found: dict[str, object]) -> float | None:
    """Give the mean share of tokens per layer by which recipes differ from the model's stored ones.

    None where none are stored, or they were fitted to other goals.
    """
    usual = RECIPES.get(key)
    if usual is None or len(usual.deleted) != len(found["deleted"]):
        return None
    fitted = Recipes(found["tokens"], tuple(map(tuple, found["deleted"])))
    layers = len(found["deleted"][0])
    apart = [
        abs(own - other)
        for recipe in range(len(fitted.deleted))
        for own, other in zip(
            fitted.alive(recipe, layers), usual.alive(recipe, layers), strict=True
        )
    ]
    return sum(apart) / len(apart)


def main() -> None:
    """Fit how many visual tokens leave each layer of a model, so that attention changes least."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", default=DEFAULT, help=CUSTOM_HELP)
    parser.add_argument("--samples", type=int, default=20, help="scenes with a question each")
    parser.add_argument("--saved", type=int, nargs="+", default=SAVED, help="per cent of the FLOPs")
    parser.add_argument("--picture", type=Path, help="fit to this one alone, and store nothing")
    parser.add_argument("--question", default=QUESTION, help="about that picture")
    parser.add_argument("--into", type=Path, help=f"default: assets/MODEL/{FILE}")
    chosen = parser.parse_args()
    key = default_loader().catalog.register(chosen.model)
    vlm = default_loader().load(key)
    if chosen.picture:
        requests = [CaseRequest.make(vlm, chosen.picture, chosen.question)]
    else:
        requests = sample_requests(vlm, chosen.samples)
    found = recipes(vlm, requests, chosen.saved)
    for percent, deleted in zip(found["saved"], found["deleted"], strict=True):
        left = found["tokens"] - sum(deleted)
        print(f"{percent:3} %  {' '.join(map(str, deleted))}  ({left} left)")
    apart = from_the_usual(key, found)
    if apart is not None:
        print(
            f"{100 * apart:.1f} % of the tokens, in the mean over layers, from the stored recipes"
        )
    if chosen.picture and not chosen.into:
        return
    into = chosen.into or ASSETS / key / FILE
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text(json.dumps(found) + "\n", encoding="utf-8")
    print(into)
