"""The tab "Failures": scenes on which the method of the tab "Explore" fails and another does not.

Wiring only. The browser asks for a few scenes at a time, so that other visitors get their turn and
a search can be stopped at any moment; a hit is opened in "Explore" by its seed.
"""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from explorer.analyses import failures
from explorer.cases import answers
from explorer.errors import VisitorError
from explorer.media.image import picture_url
from explorer.methods import catalog
from explorer.methods.catalog import title
from explorer.pico.data import scenes
from explorer.ui import components
from explorer.ui.explore.open_case import CaseOpener
from explorer.ui.link import SEEDS
from explorer.ui.payloads.encoding import rounded
from explorer.ui.session import AppState, Session
from explorer.vlm.loader import default_loader

AT_ONCE = {True: 4, False: 1}  # scenes of one event; few where a model takes its time
THUMB_SIDE = 144  # pixels


def build(desk: AppState, visit: gr.State, opening: CaseOpener, on_model: dict) -> None:
    """Lay out the tab and wire it. opening: the ways in which a case gets into "Explore"."""
    against = [{"key": answers.FULL, "title": "the full model"}]
    against += [
        {"key": method.spec, "title": title(method.spec)}
        for method in catalog.choices()
        if not method.slow
    ]
    settings = {"against": against, "first": failures.FIRST_SEED, "reply": None}
    board = components.html_block(
        '<div class="vt-finding"></div>',
        "mountFailures",
        settings,
        elem_id="vt-finding",
    )
    sender = components.outbound("mountFailuresRequest", "find", "pick")

    def find(asked: dict, visit: Session) -> dict:
        return settings | {"reply": reply(asked, visit.model)}

    def pick(asked: dict, visit: Session) -> Iterator[dict]:
        hit = asked.get("hit") if isinstance(asked, dict) else None
        if isinstance(hit, dict) and _seed(hit.get("seed")):
            show = {"method": str(asked.get("method")), "budget": _whole(asked.get("budget"))}
            question = str(hit.get("question"))
            yield from opening.scene(hit["seed"], visit.model, question, show)

    quiet = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    sender.find(find, [sender, visit], [board], **quiet, **on_model)
    sender.pick(pick, [sender, visit], opening.outputs(), **quiet, **on_model)


def reply(asked: object, model: str) -> dict:
    """Look at the next few scenes; asked: {ticket, method, budget, against, first, count}."""
    asked = asked if isinstance(asked, dict) else {}
    live = default_loader().catalog.entry(model).live
    count = max(1, min(_whole(asked.get("count")), AT_ONCE[live]))
    told = {"ticket": asked.get("ticket"), "looked": count, "hits": [], "error": None}
    first = asked.get("first")
    if not _seed(first):
        return told | {"error": "The seed of a scene is a whole number from 0 on."}
    names, budget = [str(asked.get(name)) for name in ("method", "against")], asked.get("budget")
    try:
        seeds = range(first, first + count)
        found = list(failures.find(names[0], budget, seeds, names[1], model))
    except VisitorError as error:
        return told | {"error": str(error)}
    return told | {"hits": [_hit(each) for each in found if each is not None]}


def _whole(value: object) -> int:
    """Give a whole number as it came, and 1 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 1


def _seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < SEEDS


def _hit(found: failures.Failure) -> dict:
    return {
        "seed": found.seed,
        "question": found.question,
        "kind": found.kind,
        "truth": found.truth,
        "wrong": found.wrong,
        "sure": found.sure,
        "drop": rounded(found.drop),
        "src": picture_url(scenes.make(found.seed).image, THUMB_SIDE),
    }
