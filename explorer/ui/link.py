"""A link that restores a picture (example or scene), a question, a model, a method and a budget.

`?scene=41&question=find the cheese .&model=pico&method=clsattn&budget=64`, or `?example=corner`.
What a link leaves out is what the page shows at first. Links come from strangers: every parameter
is checked. Knows examples, scenes and lists of names; runs no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs

from explorer.analyses.sharing.case_file import TOKENS
from explorer.errors import BadLink, VisitorError
from explorer.methods import catalog as method_catalog
from explorer.pico.data.questions import suggest
from explorer.pico.data.scenes import make
from explorer.ui import examples
from explorer.vlm.catalog import DEFAULT
from explorer.vlm.loader import default_loader
from explorer.vlm.prompt import check_question

NAMES = ("example", "scene", "question", "model", "method", "budget")
LONGEST = 4_000  # characters of a query
SEEDS = 2**53  # whole numbers that a browser can hold exactly


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
    if len(query) > LONGEST:
        raise BadLink("This link can't be followed: it is too long.")
    given = parse_qs(query.removeprefix("?"), keep_blank_values=True)
    asked = {name: given[name][0] for name in NAMES if name in given}
    if not asked:
        return None
    example, seed, question = _picture(asked)
    model = asked.get("model", DEFAULT)
    if model not in default_loader().catalog.entries():
        raise BadLink("This link can't be followed: there is no such model.")
    if "question" in asked:
        question = _checked(check_question, asked["question"])
    if "method" in asked:
        _checked(method_catalog.resolve, asked["method"])
    budget = _whole(asked["budget"], 1, TOKENS, "budget") if "budget" in asked else None
    finished = examples.load(example)["case"] if example else {}
    if (finished.get("model"), finished.get("question")) != (model, question):
        example = None
    return Link(example, seed, question, model, asked.get("method"), budget)


def _picture(asked: dict[str, str]) -> tuple[str | None, int, str]:
    """Find the scene that a link names: the example that shows it, its seed, its first question."""
    if "scene" in asked:
        seed = _whole(asked["scene"], 0, SEEDS, "scene")
        names = [name for name in examples.names() if examples.load(name)["seed"] == seed]
        return (names or [None])[0], seed, suggest(make(seed))[0]
    name = asked.get("example", examples.names()[0])
    if name not in examples.names():
        raise BadLink("This link can't be followed: there is no such example.")
    shown = examples.load(name)
    return name, shown["seed"], shown["case"]["question"]


def _whole(text: str, low: int, high: int, what: str) -> int:
    """Read a whole number, in plain digits."""
    if not (text.isascii() and text.isdigit() and len(text) < 17 and low <= int(text) <= high):
        raise BadLink(
            f"This link can't be followed: its {what} is no whole number from {low} to {high}."
        )
    return int(text)


def _checked(check, text: str):
    try:
        return check(text)
    except VisitorError as error:
        raise BadLink(f"This link can't be followed. {error}") from None
