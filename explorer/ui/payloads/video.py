"""A video -> JSON for the tab "Video"; arrays travel as base64 of little-endian numbers.

The shape of the JSON is described once more, for readers of JavaScript, in video/selection.js.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from explorer.analyses.video.answers import BudgetTables, VideoAnalysis, VideoDrawing
from explorer.analyses.video.budgets import budgets
from explorer.analyses.video.clip_case import BACKDROP, VideoRequest
from explorer.analyses.video.coherence import FewerFrames
from explorer.analyses.video.frame_scoring import YES
from explorer.cases.records import Answer
from explorer.media.image import pad_to_square, picture_url
from explorer.media.video import Clip, in_words
from explorer.methods import catalog
from explorer.methods.method import Card
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.encoding import packed, rounded
from explorer.ui.payloads.method import method_payload

FRAME_SIDE = 224  # pixels of a frame that the browser gets
WITH_CLS, WITHOUT_CLS = "clsattn", "visionzip"  # what QuoTA is compared with at first


def video_payload(request: VideoRequest, video: VideoAnalysis, truth: str | None = None) -> dict:
    """Describe an opened video with its frames' scores and the answer from all tokens."""
    clip, (rows, columns) = request.clip, video.shape
    frames = zip(clip.frames, video.scores, video.view_of, strict=True)
    return {
        "id": video.id,
        "model": video.model,
        "question": video.question,
        "said": f"{len(clip.frames)} of {clip.total:,} frames · {in_words(clip.seconds)}",
        "notes": _notes(clip, video),
        "sheet": None if video.sheet is None else picture_url(video.sheet),
        "frames": [
            {
                "src": picture_url(_as_encoded(video, frame.picture.image), FRAME_SIDE),
                "number": frame.number,
                "second": rounded(frame.second),
                "score": rounded(score),
                "view": view,
            }
            for frame, score, view in frames
        ],
        "things": list(video.query.things),
        "who": video.query.who,
        "budgets": budgets(video.tokens),
        "truth": truth,
        "full": answer_payload(video.full, truth),
        "layers": video.layers,
        "grid": {
            "n": video.tokens,
            "views": [
                {"name": f"frame {number + 1}", "rows": rows, "columns": columns}
                for number in range(video.views)
            ],
            "place": packed(video.places, "i2"),
            "padding": [],
        },
        "first": WITH_CLS if video.cls else WITHOUT_CLS,
        "offered": [
            {
                "key": method.spec,
                "title": catalog.title(method.spec),
                "where": method.where,
                "baseline": method.card.is_baseline,
            }
            for method in catalog.choices_of_videos()
        ],
        "cards": [_card_payload(method.card) for method in catalog.OF_VIDEOS],
        "tables": tables_payload(video.tables),
    }


def answers_payload(
    events: Iterable[VideoDrawing | Answer], other: bool, truth: str | None = None
) -> Iterator[dict]:
    """Describe what `answer_video` gives, one by one. other: a method's answer comes at the end."""
    last = "other" if other else "quota"
    for event in events:
        if isinstance(event, VideoDrawing):
            yield _drawing_payload(event)
            continue
        name = "quota" if event.method.startswith("quota:") else "other"
        done = {"done": True} if name == last == "other" else {}
        yield {name: answer_payload(event, truth)} | done
    if not other:
        yield {"done": True}


def _card_payload(card: Card) -> dict:
    """Describe a method that chooses by frames, and has no card beside those for pictures."""
    return {
        "title": card.title,
        "source": f"{card.authors}, {card.year}, arXiv {card.arxiv}; {card.repository}",
        "sentence": card.sentence,
        "equation": card.equation,
        "verified": card.verified,
        "uncertain": card.uncertain,
        "traps": card.traps,
        "headline": card.headline,
    }


def coherence_payload(found: FewerFrames) -> dict:
    """Describe what is said of some of the frames."""
    told = {"said": found.said, "chance": found.chance}
    return {
        "frames": list(found.frames),
        "tokens": found.tokens,
        "budget": found.budget,
        "full": found.full,
        "error": found.error,
        **{name: each and {"text": each[0], "same": each[1]} for name, each in told.items()},
    }


def _drawing_payload(drawing: VideoDrawing) -> dict:
    allocation = drawing.allocation
    payload: dict = {"alpha": allocation.alpha, "version": allocation.version}
    payload["budget"] = drawing.budget
    if drawing.tables is not None:
        payload["tables"] = tables_payload(drawing.tables)
    if drawing.method_map is not None:
        payload["map"] = method_payload(drawing.method_map)
    return payload


def tables_payload(tables: BudgetTables) -> dict:
    """Give every view's grid at every budget, for both ways to resize: u8 [B, V, 2]."""
    grids = {version: packed(table, "u1") for version, table in tables.grids.items()}
    return {"alpha": tables.alpha} | grids


def _as_encoded(video: VideoAnalysis, frame: Image.Image) -> Image.Image:
    """Give a frame with the padding that it has on a contact sheet, or as it is."""
    return frame if video.sheet is None else pad_to_square(frame, BACKDROP)


def _notes(clip: Clip, video: VideoAnalysis) -> list[str]:
    notes, query = list(clip.notes), video.query
    if video.views < len(clip.frames):
        notes.append(
            f"{video.model} reads frames in pairs, which share their tokens; the larger of two "
            "scores counts."
        )
    if video.sheet is not None:
        spare = int(np.count_nonzero(video.places[:, 0] < 0))
        empty = f" {spare} of its tokens show no frame." if spare else ""
        notes.append(
            f"{video.model} reads one picture: each frame is asked alone for its score, and the "
            f"answer comes from a contact sheet of all frames.{empty}"
        )
    if query.questions:
        yes = f"“{query.yes}”" if query.yes != YES else "option A"
        put = " or ".join(f"“{question.splitlines()[0]}”" for question in query.questions[:2])
        notes.append(f"A frame's score q is the probability of {yes} as the answer to {put}")
    return notes + list(query.notes)
