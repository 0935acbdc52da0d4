"""What a visitor asks of a model: a checked picture and question, before a model is touched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from explorer.media.image import Picture, open_picture
from explorer.vlm.components import Vlm
from explorer.vlm.loader import default_loader
from explorer.vlm.prompt import check_question

Source = str | Path | bytes | Image.Image | Picture


def case_id(model: str, picture: Picture, question: str) -> str:
    """Name a case: same model, pixels and question, same id, on every machine."""
    text = "\n".join((model, picture.digest, question))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class CaseRequest:
    """What somebody wants to know, checked, before any model is touched; a key names the model."""

    model: str | Vlm
    picture: Picture
    question: str

    @property
    def id(self) -> str:
        """The name of this case; see `case_id`."""
        key = self.model if isinstance(self.model, str) else self.model.key
        return case_id(key, self.picture, self.question)

    @property
    def case(self) -> tuple[str | Vlm, Picture, str]:
        """The three things, as the use cases take them."""
        return self.model, self.picture, self.question


def make_request(model: str | Vlm, image: Source, question: str) -> CaseRequest:
    """Check what somebody wants to know; `VisitorError` says what is wrong."""
    if isinstance(model, str):
        default_loader().catalog.entry(model)  # raises if there is none
    question = check_question(question)
    return CaseRequest(
        model, image if isinstance(image, Picture) else open_picture(image), question
    )
