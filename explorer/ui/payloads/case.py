"""Records -> JSON for the browser; arrays travel as base64 of little-endian numbers.

The shape of the JSON is described once more, in assets/page/common/payload.js.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from explorer.cases.records import Analysis, Answer
from explorer.media.image import Picture, picture_url
from explorer.methods import catalog as method_catalog
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.encoding import packed
from explorer.ui.payloads.method import method_entry, method_payload
from explorer.vlm.loader import default_loader


def case_payload(
    analysis: Analysis,
    truth: str | None = None,
    suggestions: list[str] | None = None,
    answers: list[Answer] | None = None,
    lean: bool = False,
) -> dict:
    """Describe an analysed case for the stage of the page. lean: see `method_payload`."""
    grid, entry = analysis.grid, default_loader().catalog.entry(analysis.model)
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
            "digest": analysis.picture.digest,
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
        "later": [method_entry(method()) for method in method_catalog.METHODS if method.slow],
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
