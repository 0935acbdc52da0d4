"""Own pictures with questions, a JSON object per line: {"picture", "question", "answer"}.

"answers" may be a list of those that count as right, as texts or as VQA's files have them, and
"choices" what letters stand for. "image", "text", "label" and "options" are read as well, so that
POPE's own files are. A line that can't be used is named by its number and why; the others count
all the same. Knows lines and folders; not models.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from explorer.analyses.failures.judging import Asked
from explorer.errors import BadPicture, BadQuestion
from explorer.media.image import open_picture
from explorer.metrics.scoring.choice_letter import INSTRUCTION, LETTERS, listed
from explorer.vlm.prompt import check_question

MAX_LINES = 10_000  # of a file that is read at once
MAX_LINE_BYTES = 1_000_000
KINDS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")  # of a folder


class _PersonsAnswer(BaseModel):
    """One of several answers, as VQA's files write them."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)
    answer: Annotated[str, Field(max_length=200)]


Text = Annotated[str, Field(max_length=200)]


class _Line(BaseModel):
    """What a line holds; other fields are left alone."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)
    picture: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        validation_alias=AliasChoices("picture", "image")
    )
    question: str = Field(validation_alias=AliasChoices("question", "text"))
    answer: Text | Annotated[list[Text | _PersonsAnswer], Field(max_length=100)] | None = Field(
        None, validation_alias=AliasChoices("answers", "answer", "label")
    )
    choices: Annotated[list[Text], Field(min_length=2, max_length=len(LETTERS))] | None = Field(
        None, validation_alias=AliasChoices("choices", "options")
    )

    @field_validator("choices", mode="before")
    @classmethod
    def _in_order(cls, choices: object) -> object:
        """Read {"A": ..., "B": ...} as a list, if all letters are there."""
        if isinstance(choices, dict) and sorted(choices) == list(LETTERS[: len(choices)]):
            return [choices[letter] for letter in sorted(choices)]
        return choices

    @property
    def accepted(self) -> tuple[str, ...]:
        """All answers that are given, without those that say nothing."""
        given = self.answer if isinstance(self.answer, list) else [self.answer or ""]
        texts = [each.answer if isinstance(each, _PersonsAnswer) else each for each in given]
        return tuple(text.strip() for text in texts if text.strip())


@dataclass(frozen=True)
class OwnLine:
    """A question about a picture. number: of the line, from 1.

    accepted: answers that count as right, one per person where people were asked; empty where no
    answer is known. choices: what the letters A, B, ... stand for, where one of them is asked for.
    """

    number: int
    picture: str
    question: str
    accepted: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    @property
    def answer(self) -> str | None:
        """The answer that most people gave, the first of these; None where none is known."""
        return Counter(self.accepted).most_common(1)[0][0] if self.accepted else None

    @property
    def prompt(self) -> str:
        """What the model is asked: the question, with its choices behind it."""
        return prompt(self.question, self.choices)


def prompt(question: str, choices: Sequence[str] = ()) -> str:
    """Put choices behind a question, and ask for a letter; in one line, as questions are."""
    if not choices:
        return question
    return " ".join(f"{question} {listed(choices)} {INSTRUCTION}".split())


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
    for line in parsed(data.splitlines()):
        if len(good) + len(bad) >= MAX_LINES:
            bad.append(BadLine(line.number, f"only the first {MAX_LINES} lines are read"))
            break
        if isinstance(line, BadLine):
            bad.append(line)
        else:
            good.append(line)
    return good, bad


def streamed(file: Path) -> Iterator[OwnLine | BadLine]:
    """Read a JSONL file of any length, one line at a time."""
    with file.open("rb") as lines:
        yield from parsed(_short_lines(lines))


def _short_lines(lines: BinaryIO) -> Iterator[bytes]:
    """Give the lines of a file; of one that is too long only so much that it can be told."""
    while line := lines.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = lines.readline(MAX_LINE_BYTES + 1)


def parsed(lines: Iterable[bytes]) -> Iterator[OwnLine | BadLine]:
    """Read lines one by one; empty ones are counted and left out."""
    for number, raw in enumerate(lines, 1):
        raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        if raw.strip():
            yield _parsed(number, raw)


def _parsed(number: int, raw: bytes) -> OwnLine | BadLine:
    if len(raw) > MAX_LINE_BYTES:
        return BadLine(number, f"it has more than {MAX_LINE_BYTES:,} bytes")
    try:
        line = _Line.model_validate(json.loads(raw.decode("utf-8")))
        question, choices = check_question(line.question), tuple(line.choices or ())
        check_question(prompt(question, choices))
        return OwnLine(number, line.picture, question, line.accepted, choices)
    except ValidationError as error:
        return BadLine(number, _fault(error))
    except BadQuestion as error:
        return BadLine(number, f"its question can't be used: {error}")
    except UnicodeDecodeError:
        return BadLine(number, "it is no text in UTF-8")
    except (ValueError, RecursionError):
        return BadLine(number, "it is no JSON")


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "missing":
        return f"it has no {field}"
    return f"its {field} can't be used" if field else "it is no JSON object"


def lines_of_folder(folder: Path, question: str, answer: str | None = None) -> list[OwnLine]:
    """Ask the same about every picture of a folder, in the order of their names.

    Raises `BadQuestion`.
    """
    question = check_question(question)
    names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in KINDS)
    accepted = (answer,) if answer else ()
    return [OwnLine(0, name, question, accepted) for name in names]


def opened(lines: Sequence[OwnLine], folder: Path) -> Iterator[Asked | BadLine]:
    """Open the picture of each line, or say why it can't be used. folder: none lies outside it."""
    for line in lines:
        try:
            picture = open_picture(_inside(folder, line.picture))
        except (OSError, ValueError, BadPicture) as error:  # such as a null byte in its name
            yield BadLine(line.number, f"{line.picture}: {error}")
        else:
            yield Asked(picture, line.prompt, line.answer, name=line.picture)


def _inside(folder: Path, name: str) -> Path:
    """Give the path of a picture in a folder; ValueError for every other."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError("it lies outside the folder of pictures")
    if not path.is_file():
        raise ValueError("there is no such picture")
    return path
