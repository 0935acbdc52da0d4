"""A film -> JSON for the tab "Video"; arrays travel as base64 of little-endian numbers.

The shape of the JSON is described once more, in assets/page/video/selection.js.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from explorer.analyses.video.budgets import BudgetAllocation, budgets, table
from explorer.analyses.video.clip_case import BACKDROP, VideoCase
from explorer.analyses.video.frame_scoring import YES, FrameQuery
from explorer.analyses.video.quota import VERSIONS
from explorer.cases.records import Answer
from explorer.media.image import pad_to_square, picture_url
from explorer.media.video import in_words
from explorer.methods import catalog
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.encoding import packed, rounded

FRAME_SIDE = 224  # pixels of a frame that the browser gets
WITH_CLS, WITHOUT_CLS = "clsattn", "visionzip"  # what QuoTA is compared with at first


def video_payload(
    film: VideoCase,
    asked: FrameQuery,
    scores: Sequence[float],
    full: Answer,
    truth: str | None = None,
) -> dict:
    """Describe an opened film with its frames' scores and the answer from all tokens."""
    clip, case = film.clip, film.case
    rows, columns = film.shape
    return {
        "id": case.id,
        "model": case.vlm.title.partition(" ·")[0],
        "question": case.question,
        "said": f"{film.count} of {clip.total:,} frames · {in_words(clip.seconds)}",
        "notes": _notes(film, asked),
        "sheet": None if film.sheet is None else picture_url(film.sheet),
        "frames": [
            {
                "src": picture_url(_as_seen(film, frame.picture.image), FRAME_SIDE),
                "number": frame.number,
                "second": rounded(frame.second),
                "score": rounded(score),
                "view": film.view_of(place),
            }
            for place, (frame, score) in enumerate(zip(clip.frames, scores, strict=True))
        ],
        "things": list(asked.things),
        "who": asked.who,
        "budgets": budgets(case.size.tokens),
        "truth": truth,
        "full": answer_payload(full, truth),
        "layers": case.size.layers,
        "grid": {
            "n": case.size.tokens,
            "views": [
                {"name": f"frame {number + 1}", "rows": rows, "columns": columns}
                for number in range(film.views)
            ],
            "place": packed(film.places, "i2"),
            "padding": [],
        },
        "first": WITH_CLS if case.size.cls else WITHOUT_CLS,
        "offered": [
            {
                "key": method.spec,
                "title": catalog.title(method.spec),
                "where": method.where,
                "baseline": not method.card.arxiv,
            }
            for method in catalog.choices()
        ],
    }


def tables_payload(film: VideoCase, scores: Sequence[float], alpha: float) -> dict:
    """Give every view's grid at every budget, for both ways to resize: u8 [B, V, 2]."""
    return {
        "alpha": alpha,
        **{
            version: packed(table(film, scores, BudgetAllocation(alpha, version)), "u1")
            for version in VERSIONS
        },
    }


def _as_seen(film: VideoCase, frame: Image.Image) -> Image.Image:
    """Show a frame with the padding that it has on a contact sheet, or as it is."""
    return frame if film.sheet is None else pad_to_square(frame, BACKDROP)


def _notes(film: VideoCase, asked: FrameQuery) -> list[str]:
    vlm, notes = film.case.vlm, list(film.clip.notes)
    if film.views < film.count:
        notes.append(
            f"{vlm.title.partition(' ·')[0]} reads frames in pairs, which share their tokens; the "
            "larger of two scores counts."
        )
    if film.sheet is not None:
        spare = int(np.count_nonzero(film.places[:, 0] < 0))
        empty = f" {spare} of its tokens show no frame." if spare else ""
        notes.append(
            f"{vlm.title.partition(' ·')[0]} reads one picture: each frame is asked alone for its "
            f"score, and the answer comes from a contact sheet of all frames.{empty}"
        )
    if asked.questions:
        yes = f"“{asked.yes}”" if asked.yes != YES else "option A"
        put = " or ".join(f"“{question.splitlines()[0]}”" for question in asked.questions[:2])
        notes.append(f"A frame's score q is the probability of {yes} as the answer to {put}")
    return notes + list(asked.notes)
