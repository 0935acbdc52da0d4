"""Frames of a video in front of a model: their tokens as one case, and a score for every frame.

A family that reads several frames offers `preprocess_frames(vlm, images, time)`, which gives what
its tower gets and a grid with a view per frame, or per pair of frames; every other model gets one
picture, a contact sheet of the frames. Knows cases and models; not budgets or pages.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.cases.cache import ResultCache, VisionKey, get_or_compute
from explorer.cases.case import Case, CaseVision, open_case
from explorer.cases.request import CaseRequest
from explorer.errors import BadVideo, ModelUnavailable
from explorer.inference.vision import encode_image
from explorer.media.contact_sheet import ContactSheet
from explorer.media.grid import Timeline
from explorer.media.image import Picture
from explorer.media.video import Clip
from explorer.vlm.components import Vlm
from explorer.vlm.loader import default_loader

SMALLEST = 2  # tokens along a side of a frame; with fewer there is nothing to resize
BACKDROP = (128, 128, 128)


@dataclass(frozen=True)
class VideoCase:
    """A clip and a question in front of a model.

    case: the union of all frames' tokens, [N]. places [N, 3]: view, row and column of each token,
    -1 where it shows no frame; a view is a frame, or a pair of frames that share their tokens.
    shape: rows and columns of tokens of a view. sheet: the picture that holds all frames, or None
    where the model reads them one by one.
    """

    clip: Clip
    case: Case
    places: np.ndarray
    shape: tuple[int, int]
    sheet: Image.Image | None

    @property
    def count(self) -> int:
        """F, the frames."""
        return len(self.clip.frames)

    @property
    def views(self) -> int:
        """V, of which each has its own tokens: the frames, or pairs of them."""
        return int(self.places[:, 0].max()) + 1

    def view_of(self, frame: int) -> int:
        """Tell in which view a frame is seen."""
        return frame // math.ceil(self.count / self.views)

    def of_views(self, scores: Sequence[float]) -> list[float]:
        """Turn scores of frames [F] into those of views [V]: the larger one of a pair, ours."""
        of_views = [0.0] * self.views
        for frame, score in enumerate(scores):
            view = self.view_of(frame)
            of_views[view] = max(of_views[view], score)
        return of_views

    def cells(self) -> Tensor:
        """Give the tokens of every view, row by row, [V, rows * columns]."""
        view, row, column = self.places.astype(int).T
        rows, columns = self.shape
        cells = np.empty((self.views, rows * columns), dtype=np.int64)
        real = view >= 0
        cells[view[real], row[real] * columns + column[real]] = real.nonzero()[0]
        return torch.from_numpy(cells).to(self.case.vlm.device)


@dataclass(frozen=True)
class VideoRequest(CaseRequest):
    """One question about one clip. picture: the first frame, with a digest of all of them."""

    clip: Clip

    @classmethod
    def make(cls, model: str | Vlm, clip: Clip, question: str) -> VideoRequest:
        """Check model and question; `VisitorError` says in one sentence what is wrong."""
        first = Picture(clip.frames[0].picture.image, (), _digest(clip))
        request = CaseRequest.make(model, first, question)
        return cls(request.model, request.picture, request.question, clip)


def open_video_case(request: VideoRequest, cache: ResultCache | None = None) -> VideoCase:
    """Load the model and run its tower on the frames; `VisitorError` says what is wrong."""
    model = request.model
    vlm = model if isinstance(model, Vlm) else default_loader().load(model)
    if hasattr(vlm.family, "preprocess_frames"):
        return _one_by_one(vlm, request, cache)
    return _on_a_sheet(vlm, request, cache)


def _on_a_sheet(vlm: Vlm, request: VideoRequest, cache: ResultCache | None) -> VideoCase:
    """Encode one picture of all frames, and keep the tokens that show frames."""
    clip = request.clip
    views = vlm.family.grid(vlm, 96, 96).views
    side = views[0].rows
    if len(views) > 1 or views[0].columns != side:
        raise ModelUnavailable(
            f"{vlm.title} cuts a picture into pieces, so frames can't be laid out on one; please "
            "choose another model for videos."
        )
    sheet = ContactSheet(len(clip.frames), side)
    if sheet.tokens < SMALLEST:
        raise BadVideo(
            f"{len(clip.frames)} frames are too many for {vlm.title}; please take at most "
            f"{(side // SMALLEST) ** 2}."
        )
    images = [frame.picture.image for frame in clip.frames]
    picture = Picture(sheet.draw(images, BACKDROP), (), _digest(clip))
    whole = open_case(CaseRequest(vlm, picture, request.question), cache)
    output, grid = whole.vision.output, sheet.grid(whole.vision.grid)
    places = sheet.frame_places(grid)
    kept = torch.from_numpy(_tokens_of(sheet)).to(vlm.device)
    vision = CaseVision(
        output=replace(output, features=output.features[kept]),
        grid=grid,
        grid_position=torch.from_numpy(grid.place.astype("int64")).to(vlm.device),
        patches=whole.vision.patches[kept],
        seconds=whole.vision.seconds,
        frame_position=torch.from_numpy(places.astype("int64")).to(vlm.device),
    )
    return VideoCase(
        clip, replace(whole, vision=vision), places, (sheet.tokens,) * 2, picture.image
    )


def _tokens_of(sheet: ContactSheet) -> np.ndarray:
    down, across = sheet.lines()
    return (down[:, None] * sheet.side + across).reshape(-1)


def _one_by_one(vlm: Vlm, request: VideoRequest, cache: ResultCache | None) -> VideoCase:
    """Encode the frames as the family lays them out, each with tokens of its own."""
    clip, picture = request.clip, request.picture
    images, time = [frame.picture.image for frame in clip.frames], _time(clip)

    def encode() -> CaseVision:
        pixels, grid = vlm.family.preprocess_frames(vlm, images, time)
        place, patches = (
            torch.from_numpy(table.astype("int64")).to(vlm.device)
            for table in (grid.place, grid.patches)
        )
        output = encode_image(vlm.family.vision_tower(vlm), pixels)
        return CaseVision(output, grid, place, patches, 0.0, frame_position=place)

    key = VisionKey(vlm.key, picture.digest)
    vision = get_or_compute(cache, key, encode, lambda vision: vision.nbytes)
    case = Case(vlm, picture, request.question, vision, vlm.family.decoder(vlm))
    view = vision.grid.views[0]
    return VideoCase(clip, case, vision.grid.place, (view.rows, view.columns), None)


def _time(clip: Clip) -> Timeline:
    return Timeline(tuple(frame.second for frame in clip.frames), clip.seconds)


def _digest(clip: Clip) -> str:
    """Name the frames and their times; a picture that looks like the sheet is another case."""
    return hashlib.sha256(f"film {clip.digest} {_time(clip)}".encode()).hexdigest()[:16]
