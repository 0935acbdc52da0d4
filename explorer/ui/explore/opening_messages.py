"""What the browser sends to open another case: one message, in one of several ways.

They share one channel, so that the last thing a visitor does wins, whatever it was. As with all
messages, kind and size are checked here, and what is meant by those who answer; see messages.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from explorer.analyses.sharing import case_file
from explorer.ui.messages import (
    MAX_QUERY,
    Budget,
    FilePath,
    Key,
    Message,
    Seed,
    Spec,
    Words,
)

MAX_TOLD = 100  # right answers that come with a picture

Truth = Annotated[str, Field(max_length=500)]


class Opening(BaseModel):
    """What all ways of opening a case have in common."""

    model_config = Message.model_config


class Show(Opening):
    """Where the page goes when the case is open; None: it stays where it is."""

    method: Spec | None = None
    budget: Budget | None = None

    @property
    def place(self) -> dict | None:
        """Give it as `CaseOpener.case` takes it."""
        return self.model_dump(exclude_none=True) or None


class Question(Opening):
    """Asks something else about the picture that is open. case: what the page shows."""

    kind: Literal["question"]
    question: Words
    case: Key | None = None


class RightAnswer(Opening):
    """Says what the right answer to the open question is; an empty one takes that back.

    case: what the page shows.
    """

    kind: Literal["truth"]
    truth: Truth
    case: Key | None = None


class Example(Opening):
    """Opens a finished example."""

    kind: Literal["example"]
    chosen: Key


class Scene(Opening):
    """Opens the scene of a seed with a question, or the first that fits it."""

    kind: Literal["scene"]
    seed: Seed
    question: Words | None = None
    show: Show = Show()


class Upload(Opening):
    """Opens an uploaded picture with a question.

    path: of the upload, None for the one in the picture input. model, told, show: as they were when
    the page was left; told: right answers by their questions.
    """

    kind: Literal["picture"]
    question: Words
    path: FilePath | None = None
    model: Key | None = None
    told: Annotated[dict[Truth, Truth], Field(max_length=MAX_TOLD)] = Field(default_factory=dict)
    show: Show = Show()


class Link(Opening):
    """Follows a link. query: the part of the address behind "?"."""

    kind: Literal["link"]
    query: Annotated[str, Field(max_length=MAX_QUERY)]


class File(Opening):
    """Opens a saved case. text: of the file."""

    kind: Literal["file"]
    text: Annotated[str, Field(max_length=case_file.MAX_BYTES)]


class OpeningMessage(Message):
    """Opens another case. method: what the visitor looks at; its whole map comes at once."""

    method: Spec | None = None
    opens: Annotated[
        Question | RightAnswer | Example | Scene | Upload | Link | File,
        Field(discriminator="kind"),
    ]
