"""The JSON of a method: its card, scores, order and kept sets; payload.js reads it."""

from __future__ import annotations

import numpy as np

from explorer.cases.records import BudgetPoint, MethodMap
from explorer.methods import catalog
from explorer.methods.catalog import title
from explorer.methods.chance import chance_of, draws_of
from explorer.methods.method import Method
from explorer.ui.payloads.encoding import in_steps, packed

BYTE = 256  # tokens whose numbers fit into a byte each


def method_payload(found: MethodMap, lean: bool = False) -> dict:
    """Describe one method: its card and all that it would keep.

    lean: for the page, which can do without numbers that follow from others, reads small numbers
    from single bytes or bits, and shows scores of stages as colours. Of a method that was scored
    alone it gets `method_entry`: it can't draw what that one keeps.
    """
    if lean and not found.is_whole:
        return method_entry(catalog.resolve(found.spec))
    nested, points, keeps = found.order is not None, found.points or (), found.keeps
    if lean and nested and np.array_equal(keeps, np.arange(1, len(keeps) + 1)):
        keeps = None
    small = lean and len(found.score) <= BYTE
    shares = {}
    if found.crop_shares:
        whole, crops = found.crop_shares
        shares["portions"] = {"whole": whole, "crops": [float(part) for part in crops]}
    return method_words(found.spec) | {
        "floor": found.floor,
        "score": packed(found.score, "f4"),
        "order": packed(found.order, "u1" if small else "u2") if nested else None,
        "layer": found.layer,
        "keeps": None if keeps is None else packed(keeps, "u2"),
        "knots": None if nested else [_point_payload(point, found.score, lean) for point in points],
        "ladder": list(found.ladder),
        **shares,
    }


def method_entry(method: Method) -> dict:
    """Describe a method as far as a list names it, to be chosen before its map is there."""
    return {
        "key": method.spec,
        "title": title(method.spec),
        "group": catalog.group_of(method),
        "where": method.where,
        "baseline": method.card.is_baseline,
    }


def method_words(spec: str) -> dict:
    """Describe what is always so of a method, whatever it looks at."""
    method = catalog.resolve(spec)
    return {
        **method_entry(method),
        "sentence": method.card.sentence,
        "badges": [*badges(method), *(["costs as much as all tokens"] if method.full_cost else [])],
        "score_means": method.card.score_means,
        "nested": method.nested,
        "reads_question": method.reads_question,
        "merges": method.merges,
        "uncertain": method.card.uncertain,
        "traps": method.traps(),
        "draws": list(draws_of(chance_of(spec))),
        "wipes": method.full_cost,
        **({"stride": method.grid_stride} if method.grid_stride else {}),
    }


def badges(method: Method) -> list[str]:
    """Say in a few words what kind of method this is."""
    where = {"both": "before and inside the LLM"}.get(method.where, method.where)
    return [
        "reads the question" if method.reads_question else "does not read the question",
        *(["in the tower"] if method.in_tower else []),
        where,
        "nested" if method.nested else "not nested",
        *(["merges"] if method.merges else []),
        *(["trained"] if method.trained else []),
    ]


def _point_payload(point: BudgetPoint, first: np.ndarray, lean: bool) -> dict:
    """Describe a choice; scores that equal the method's own are left out, and so are gaps."""

    def scores(found: np.ndarray) -> str | dict | None:
        if np.array_equal(found, first):
            return None
        alive = found[~np.isnan(found)]
        return in_steps(alive) if lean and len(alive) else packed(alive, "f4")

    def fates(found: np.ndarray) -> str:
        if lean and len(found) > 8 and found.max() < 1:  # nothing is merged: a bit each will do
            return packed(np.packbits(found == 0, bitorder="little"), "u1")
        return packed(found, "i1" if found.max() < 128 else "i2")

    cuts_none = np.array_equal(point.cached, point.layers)
    return {
        "budget": point.budget,
        "final": int(point.layers[-1]),
        "layers": packed(point.layers, "u2"),
        "cached": None if cuts_none else packed(point.cached, "u2"),
        "stages": [
            {
                "layer": stage.layer,
                "extra": stage.extra,
                "fate": fates(stage.fate),
                "score": scores(stage.score),
            }
            | ({"centres": list(stage.centres)} if max(stage.centres, default=-1) >= 0 else {})
            | ({"tower": list(stage.tower)} if stage.tower else {})
            for stage in point.stages
        ],
    }
