"""A request: which model is asked what about which picture, checked before a model is touched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from explorer.cases.cache import VISION_BYTES, BoundedStore
from explorer.cases.pictures import open_beside
from explorer.media.image import Picture, open_picture
from explorer.vlm.components import Vlm
from explorer.vlm.loader import default_loader
from explorer.vlm.prompt import check_question

Source = str | Path | bytes | Image.Image | Picture
"""A file, its bytes, a PIL image, or a picture that is open already."""


def case_id(model: str, picture: Picture, question: str) -> str:
    """Name a case: same model, pixels and question, same id, on every machine."""
    text = "\n".join((model, picture.digest, question))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class CaseRequest:
    """One question about one picture to one model: the first argument of every use case.

    Made by `make`, which checks all three once. model: a key of the catalogue, or a loaded model.
    """

    model: str | Vlm
    picture: Picture
    question: str

    @classmethod
    def make(cls, model: str | Vlm, image: Source, question: str) -> CaseRequest:
        """Check model, picture and question; `VisitorError` says in one sentence what is wrong."""
        if not isinstance(model, Vlm):
            default_loader().catalog.entry(model)  # raises if there is none
        question = check_question(question)
        if isinstance(image, str | Path | bytes):
            image = open_beside(image)
        picture = image if isinstance(image, Picture) else open_picture(image)
        return cls(model, picture, question)

    @cached_property
    def visions(self) -> BoundedStore:
        """Where callers who have no cache find what the tower made of the picture before.

        It goes when the request goes.
        """
        return BoundedStore(VISION_BYTES)

    def __getstate__(self) -> dict[str, object]:
        """Leave behind what is on a device when the request goes to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "visions"}

    @cached_property
    def id(self) -> str:
        """The name of this case; see `case_id`."""
        key = self.model if isinstance(self.model, str) else self.model.key
        return case_id(key, self.picture, self.question)
