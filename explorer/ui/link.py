"""A link that restores a picture (example or scene), a question, a model, a method and a budget.

`?scene=41&question=find the cheese .&model=pico&method=clsattn&budget=64`, or `?example=corner`.
What a link leaves out is what the page shows at first. Links come from strangers: every parameter
is checked. Knows examples, scenes and lists of names; runs no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from explorer.analyses.sharing.case_fields import TOKENS
from explorer.errors import BadLink, UnknownModel, VisitorError
from explorer.methods import catalog as method_catalog
from explorer.pico.data.questions import suggest
from explorer.pico.data.scenes import make
from explorer.ui import examples
from explorer.ui.messages import SEEDS, Key, Words
from explorer.vlm.catalog import DEFAULT
from explorer.vlm.loader import default_loader
from explorer.vlm.prompt import check_question

MAX_CHARACTERS = 4_000  # of a query
RANGES = {"scene": (0, SEEDS - 1), "budget": (1, TOKENS)}


def _digits(text: str) -> int:
    """Read a whole number in plain digits: no sign, no dot, no letter of another alphabet."""
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise ValueError("no whole number")
    return int(text)


def _whole(name: str) -> object:
    low, high = RANGES[name]
    return Annotated[int, BeforeValidator(_digits), Field(ge=low, le=high)]


class Parameters(BaseModel):
    """What stands in the query of a link, each at most once and of the right kind."""

    model_config = ConfigDict(strict=True, frozen=True)

    example: Key | None = None
    scene: _whole("scene") | None = None
    question: Words | None = None
    model: Key = DEFAULT
    method: Key | None = None
    budget: _whole("budget") | None = None


NAMES = tuple(Parameters.model_fields)


@dataclass(frozen=True)
class Link:
    """What a link asks for. example: one that shows just this, finished; seed: of the scene."""

    example: str | None
    seed: int
    question: str
    model: str
    method: str | None
    budget: int | None

    @property
    def show(self) -> dict[str, object]:
        """Give the method and the budget that the page should go to, as far as they are named."""
        named = {"method": self.method, "budget": self.budget}
        return {name: value for name, value in named.items() if value is not None}


def read(query: str) -> Link | None:
    """Read the part of an address behind "?"; None if it asks for nothing of ours.

    Raises `BadLink` with a sentence if something in it can't be had.
    """
    if len(query) > MAX_CHARACTERS:
        raise BadLink("This link can't be followed: it is too long.")
    values = parse_qs(query.removeprefix("?"), keep_blank_values=True)
    named = {name: values[name][0] for name in NAMES if name in values}
    if not named:
        return None
    asked = _parameters(named)
    example, seed, question = _picture(asked)
    try:
        model = default_loader().catalog.entry(asked.model).key
    except UnknownModel:
        raise BadLink("This link can't be followed: there is no such model.") from None
    if asked.question is not None:
        question = _checked(check_question, asked.question)
    if asked.method is not None:
        _checked(method_catalog.resolve, asked.method)
    method = None if asked.method is None else method_catalog.canonical(asked.method)
    finished = examples.load(example)["case"] if example else {}
    if (finished.get("model"), finished.get("question")) != (model, question):
        example = None
    return Link(example, seed, question, model, method, asked.budget)


def _parameters(named: dict[str, str]) -> Parameters:
    try:
        return Parameters.model_validate(named)
    except ValidationError as error:
        name = error.errors(include_url=False, include_input=False)[0]["loc"][0]
    low, high = RANGES.get(name, (0, 0))
    wrong = f"no whole number from {low} to {high}" if name in RANGES else "too long"
    raise BadLink(f"This link can't be followed: its {name} is {wrong}.")


def _picture(asked: Parameters) -> tuple[str | None, int, str]:
    """Find the scene that a link names: the example that shows it, its seed, its first question."""
    if asked.scene is not None:
        names = [name for name in examples.names() if examples.load(name)["seed"] == asked.scene]
        return (names or [None])[0], asked.scene, suggest(make(asked.scene))[0]
    name = examples.names()[0] if asked.example is None else asked.example
    if name not in examples.names():
        raise BadLink("This link can't be followed: there is no such example.")
    shown = examples.load(name)
    return name, shown["seed"], shown["case"]["question"]


def _checked(check, text: str):
    try:
        return check(text)
    except VisitorError as error:
        raise BadLink(f"This link can't be followed. {error}") from None
