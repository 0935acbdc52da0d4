"""Records -> JSON for the browser; arrays travel as base64 of little-endian numbers.

The shape of the JSON is described once more, for readers of JavaScript, in assets/payload.js.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import asdict

import numpy as np
from PIL import Image

from explorer import methods, zoo
from explorer.dominance import Dominance
from explorer.fidelity import agrees
from explorer.picture import Picture
from explorer.results import Analysis, Answer, Knot, MethodMap
from explorer.signals import Size

LLAVA = Size(tokens=576, layers=32, columns=24)  # to ask a method what kind of stages it has
BYTE = 256  # tokens whose numbers fit into a byte each
STEPS = 65_535
SHOWN_SIDE = 896  # pixels of the longer side that the browser gets


def packed(array: np.ndarray, dtype: str) -> str:
    """Write an array as base64."""
    return base64.b64encode(np.ascontiguousarray(array, dtype="<" + dtype).tobytes()).decode()


def picture_url(image: Image.Image, side: int = SHOWN_SIDE) -> str:
    """Write a picture into a data URL, no larger than the screen needs."""
    small = image.copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def case_payload(
    analysis: Analysis,
    truth: str | None = None,
    suggestions: list[str] | None = None,
    answers: list[Answer] | None = None,
    lean: bool = False,
) -> dict:
    """Describe an analysed case for the stage of the page. lean: see `method_payload`."""
    grid, entry = analysis.grid, zoo.entry(analysis.model)
    width, height = analysis.picture.image.size
    return {
        "id": analysis.id,
        "model": analysis.model,
        "model_title": entry.title,
        "live": entry.live,
        "question": analysis.question,
        "truth": truth,
        "suggestions": suggestions or [],
        "notes": list(analysis.notes),
        "layers": analysis.layers,
        "cost": {**asdict(analysis.shape), "text": analysis.text, "bytes": analysis.bytes},
        "picture": {
            "src": picture_url(analysis.picture.image),
            "width": width,
            "height": height,
            "alt": "The picture that the question is about",
        },
        "grid": {
            "n": grid.count,
            "views": [
                {"name": v.name, "rows": v.rows, "columns": v.columns, "box": list(v.box)}
                for v in grid.views
            ],
            "place": packed(grid.place, "i2"),
            "boxes": packed(grid.boxes, "f4"),
            "padding": np.flatnonzero(grid.padding).tolist(),
            **({} if analysis.crops is None else {"crops": packed(analysis.crops, "i2")}),
        },
        "methods": [method_payload(found, lean) for found in analysis.methods],
        "later": [
            {"key": method.KEY, "title": method.TITLE, "where": method.WHERE, "baseline": False}
            for method in methods.METHODS
            if methods.slow(method)
        ],
        "full": answer_payload(analysis.full, truth),
        "answers": [answer_payload(answer, truth) for answer in answers or []],
    }


def pending_payload(case: str, picture: Picture, question: str) -> dict:
    """Describe a case whose methods are still at work: the picture, to be looked at meanwhile."""
    width, height = picture.image.size
    return {
        "id": case,
        "pending": True,
        "question": question,
        "picture": {"src": picture_url(picture.image), "width": width, "height": height},
    }


def method_payload(found: MethodMap, lean: bool = False) -> dict:
    """Describe one method: its card and all that it would keep.

    lean: for the page, which can do without numbers that follow from others, reads small numbers
    from single bytes or bits, and shows scores of stages as colours.
    """
    nested, knots, keeps = found.order is not None, found.knots or (), found.keeps
    if lean and nested and np.array_equal(keeps, np.arange(1, len(keeps) + 1)):
        keeps = None
    small = lean and len(found.score) <= BYTE
    portions = {}
    if found.portions:
        whole, crops = found.portions
        portions["portions"] = {"whole": whole, "crops": [float(part) for part in crops]}
    return method_words(found.spec) | {
        "floor": found.floor,
        "score": packed(found.score, "f4"),
        "order": packed(found.order, "u1" if small else "u2") if nested else None,
        "layer": found.layer,
        "keeps": None if keeps is None else packed(keeps, "u2"),
        "knots": None if nested else [_knot(knot, found.score, lean) for knot in knots],
        "ladder": list(found.ladder),
        **portions,
    }


def method_words(spec: str) -> dict:
    """Describe what is always so of a method, whatever it looks at."""
    method, options = methods.resolve(spec)
    smallest = method.schedule(LLAVA, method.floor(LLAVA, **options), **options)
    return {
        "key": spec,
        "title": title(spec),
        "sentence": method.SENTENCE,
        "badges": badges(method),
        "score_means": method.SCORE_MEANS,
        "nested": method.NESTED,
        "reads_question": method.READS_QUESTION,
        "merges": method.MERGES,
        "where": method.WHERE,
        "baseline": not method.ARXIV,
        "uncertain": method.UNCERTAIN,
        "wipes": any(stage.blank for stage in smallest),
    }


def title(spec: str) -> str:
    """Name a method with its variant and its changed settings: "FoPru · row"."""
    method, _ = methods.resolve(spec)
    name, _, changes = spec.partition("?")
    variant = name.partition(":")[2]
    return " · ".join(filter(None, [method.TITLE, variant, changes.replace("&", ", ")]))


def badges(method) -> list[str]:
    """Say in a few words what kind of method this is."""
    where = {"both": "before and inside the LLM"}.get(method.WHERE, method.WHERE)
    return [
        "reads the question" if method.READS_QUESTION else "does not read the question",
        where,
        "nested" if method.NESTED else "not nested",
        *(["merges"] if method.MERGES else []),
    ]


def _knot(knot: Knot, first: np.ndarray, lean: bool) -> dict:
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

    return {
        "budget": knot.budget,
        "final": int(knot.layers[-1]),
        "layers": packed(knot.layers, "u2"),
        "stages": [
            {
                "layer": stage.layer,
                "extra": stage.extra,
                "fate": fates(stage.fate),
                "score": scores(stage.score),
            }
            for stage in knot.stages
        ],
    }


def in_steps(values: np.ndarray) -> dict:
    """Write numbers in 65,535 even steps between the lowest and the highest: half the bytes."""
    low, high = float(values.min()), float(values.max())
    steps = (values - low) * (STEPS / (high - low)) if high > low else np.zeros(len(values))
    return {"low": low, "high": high, "steps": packed(np.rint(steps), "u2")}


def answer_payload(answer: Answer, truth: str | None = None, case: str | None = None) -> dict:
    """Describe one answer; right is None where the truth is not known."""
    return {
        "case": case,
        "method": answer.method,
        "budget": answer.budget,
        "text": answer.text,
        "tokens": [{"text": t.text, "p": rounded(t.probability)} for t in answer.tokens],
        "right": None if truth is None else agrees(answer.text, truth),
        "same": answer.same,
        "p_full": rounded(answer.p_full),
        "kl": rounded(answer.kl),
        "drop": rounded(answer.drop),
        "final": answer.final if answer.layers else None,
        "mean": rounded(answer.mean) if answer.layers else None,
        "layers": list(answer.layers),
        "flops": answer.flops,
        "kv_bytes": answer.kv_bytes,
        "seconds": {name: rounded(value) for name, value in answer.seconds.items()},
        "dominance": dominance_payload(answer.dominance),
        "partial": answer.partial,
        "error": None,
    }


def stages_payload(answer: Answer) -> list[dict]:
    """List who stayed at every stage, for scripts; the page has it from the maps."""
    return [
        {
            "layer": stage.layer,
            "kept": stage.kept.tolist(),
            "merged": stage.merged,
        }
        for stage in answer.stages
    ]


def dominance_payload(found: Dominance | None) -> dict | None:
    """Describe MDI and AEI; what is undefined or infinite becomes null."""
    if found is None:
        return None
    return {
        "mdi": [rounded(x) for x in found.mdi],
        "aei": [rounded(x) for x in found.aei],
        "stages": {name: [rounded(x) for x in pair] for name, pair in found.stages.items()},
        "text": int(np.max(found.text)),
        "image": [int(x) for x in np.atleast_1d(found.image)],
        "answer": int(found.answer),
    }


def rounded(value: float | None) -> float | None:
    """Keep five digits: enough to read, short to send; JSON knows no NaN and no infinity."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{float(value):.5g}")
