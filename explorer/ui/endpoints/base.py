"""What all endpoints have: the state of the page, limits of texts, and how lists in texts are read.

Knows texts; not use cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import gradio as gr

from explorer.cases.request import CaseRequest
from explorer.errors import BadBudget, BadMessage, BadPicture, NotUploaded, VisitorError
from explorer.methods import catalog
from explorer.methods.catalog import MAX_SPEC
from explorer.ui.messages import MAX_SPECS
from explorer.ui.session import AppState
from explorer.ui.web import uploads

MAX_TEXT = {
    "model": 100,
    "method": MAX_SPEC,
    "methods": MAX_SPECS * MAX_SPEC,
    "budgets": 500,
    "answer": 8_000,
    "there": 1_000,
    "absent": 1_000,
    "way": 20,
    "truth": 200,
}  # characters; the question's are counted by who reads it


@contextmanager
def sentences(**texts: str) -> Iterator[None]:
    """Tell a script what it can put right; everything else is a mistake of ours.

    texts: by the names of their arguments; none may be longer than any that makes sense.
    """
    try:
        for name, text in texts.items():
            if len(text or "") > MAX_TEXT[name]:
                raise BadMessage(f"{name} has at most {MAX_TEXT[name]} characters.")
        yield
    except VisitorError as error:
        raise gr.Error(str(error), print_exception=False) from error


@dataclass(frozen=True)
class EndpointGroup:
    """Functions that scripts call; their docstrings are what MCP tells of them."""

    app_state: AppState

    def request(self, model: str, image: str, question: str) -> CaseRequest:
        """Check what is asked; an upload that is refused is deleted. Raises `VisitorError`."""
        try:
            return CaseRequest.make(model, image, question)
        except BadPicture:
            with suppress(NotUploaded, TypeError):  # TypeError: no path, but a picture
                uploads.discard(uploads.check(image))
            raise


def names(text: str) -> list[str]:
    """Read "fastv, visionzip"."""
    return [word.strip() for word in text.split(",") if word.strip()]


def specs(text: str) -> list[str] | None:
    """Read "fastv, visionzip", each method once; None for nothing. Raises `BadMessage`."""
    specs = catalog.unique(names(text))
    if len(specs) > MAX_SPECS:
        raise BadMessage(f"One call takes at most {MAX_SPECS} methods.")
    return specs or None


def numbers(text: str) -> list[int] | None:
    """Read "16, 64, 196"; None for nothing. Raises `BadBudget`."""
    words = names(text)
    for word in words:
        if not (word.isascii() and word.isdigit()):
            raise BadBudget(f"Budgets are whole numbers separated by commas, not {word!r}.")
    return [int(word) for word in words] or None
