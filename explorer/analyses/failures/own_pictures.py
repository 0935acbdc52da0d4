"""Own pictures with questions, a JSON object per line: {"picture", "question", "answer"}.

A line that can't be used is named by its number and why; the others count all the same. Knows
lines and folders; not models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from explorer.analyses.failures.judging import Asked
from explorer.errors import BadPicture, BadQuestion
from explorer.media.image import open_picture
from explorer.vlm.prompt import check_question

MAX_LINES = 10_000
KINDS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")  # of a folder


class _Line(BaseModel):
    """What a line holds; other fields are left alone."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)
    picture: Annotated[str, Field(min_length=1, max_length=500)]
    question: str
    answer: Annotated[str, Field(max_length=200)] | None = None

    @field_validator("question")
    @classmethod
    def _asks(cls, question: str) -> str:
        try:
            return check_question(question)
        except BadQuestion as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True)
class OwnLine:
    """A question about a picture. number: of the line, from 1; answer: None where not known."""

    number: int
    picture: str
    question: str
    answer: str | None


@dataclass(frozen=True)
class BadLine:
    """A line that is left out, and why. number: 0 for what stands in no line."""

    number: int
    why: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.why}" if self.number else self.why


def read_lines(data: bytes) -> tuple[list[OwnLine], list[BadLine]]:
    """Read a JSONL file; empty lines don't count, and bad ones are told apart from good ones."""
    good: list[OwnLine] = []
    bad: list[BadLine] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if not raw.strip():
            continue
        if len(good) + len(bad) >= MAX_LINES:
            bad.append(BadLine(number, f"only the first {MAX_LINES} lines are read"))
            break
        try:
            line = _Line.model_validate(json.loads(raw.decode("utf-8")))
        except ValidationError as error:
            bad.append(BadLine(number, _fault(error)))
        except UnicodeDecodeError:
            bad.append(BadLine(number, "it is no text in UTF-8"))
        except (ValueError, RecursionError):
            bad.append(BadLine(number, "it is no JSON"))
        else:
            answer = (line.answer or "").strip() or None
            good.append(OwnLine(number, line.picture, line.question, answer))
    return good, bad


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "missing":
        return f"it has no {field}"
    if first["type"] == "value_error":
        return f"its {field} can't be used: {first['ctx']['error']}"
    return f"its {field} can't be used" if field else "it is no JSON object"


def lines_of_folder(folder: Path, question: str, answer: str | None = None) -> list[OwnLine]:
    """Ask the same about every picture of a folder, in the order of their names.

    Raises `BadQuestion`.
    """
    question = check_question(question)
    names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in KINDS)
    return [OwnLine(0, name, question, answer) for name in names]


def opened(lines: Sequence[OwnLine], folder: Path) -> Iterator[Asked | BadLine]:
    """Open the picture of each line, or say why it can't be used. folder: none lies outside it."""
    for line in lines:
        try:
            picture = open_picture(_inside(folder, line.picture))
        except (OSError, ValueError, BadPicture) as error:  # such as a null byte in its name
            yield BadLine(line.number, f"{line.picture}: {error}")
        else:
            yield Asked(picture, line.question, line.answer, name=line.picture)


def _inside(folder: Path, name: str) -> Path:
    """Give the path of a picture in a folder; ValueError for every other."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError("it lies outside the folder of pictures")
    if not path.is_file():
        raise ValueError("there is no such picture")
    return path
