"""The grammar of questions: each kind's wordings, what can be filled in, and the true answer.

A kind is two functions: `fills` lists everything that its wordings can be filled with on a scene,
`answer` gives the one right answer, or nothing where the question has none. Knows things, not
pixels; asks nothing by chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from explorer.pico.data.scenes import Thing
from explorer.pico.data.vocabulary import (
    CATEGORIES,
    COLORED_SHAPES,
    NUMBERS,
    OBJECTS,
    PLACES,
    SHAPES,
    plural,
    with_article,
)

# What lies in a direction: rows and columns to go.
DIRECTIONS = {"left of": (0, -1), "right of": (0, 1), "above": (-1, 0), "below": (1, 0)}
ALL_NAMES = (*OBJECTS, *COLORED_SHAPES, "sign")


class Answer(NamedTuple):
    """The right answer, and the things that one must look at to give it."""

    text: str
    targets: tuple[Thing, ...] = ()


class Facts:
    """What a scene's things are called and where they are."""

    def __init__(self, things: Iterable[Thing]):
        self.things = tuple(things)
        self.at = {thing.cell: thing for thing in self.things}
        self.in_order = tuple(self.at[cell] for cell in sorted(self.at))
        self.counts = Counter(name_of(thing) for thing in self.things)
        self.unique = {
            name_of(thing): thing for thing in self.things if self.counts[name_of(thing)] == 1
        }

    def named(self, name: str) -> tuple[Thing, ...]:
        """List the things with this name."""
        return tuple(thing for thing in self.things if name_of(thing) == name)

    def in_category(self, category: str) -> tuple[Thing, ...]:
        """List the animals, the food or the vehicles, in reading order."""
        members = CATEGORIES[category]
        return tuple(t for t in self.in_order if t.kind == "object" and t.name in members)


@dataclass(frozen=True)
class Kind:
    """One kind of question.

    wordings: templates with the blank "{x}" (rel also has "{way}"); fills(facts) -> the blanks
    worth asking about; answer(facts, **blanks) -> Answer, or None where there is no definite one.
    """

    wordings: tuple[str, ...]
    fills: Callable[[Facts], list[dict[str, str]]]
    answer: Callable[..., Answer | None]


def name_of(thing: Thing) -> str:
    """Give the name questions use: "owl", "red circle", "sign"."""
    if thing.kind == "shape":
        return f"{thing.color} {thing.name}"
    return "sign" if thing.kind == "word" else thing.name


def phrase_of(thing: Thing) -> str:
    """Give the phrase answers use: "an owl", "a red circle", "a sign saying stop"."""
    if thing.kind == "word":
        return f"a sign saying {thing.name}"
    return with_article(name_of(thing))


def category_phrase(category: str) -> str:
    """Give "an animal", "food", "a vehicle"."""
    return category if category == "food" else with_article(category)


def _listed(phrases: Sequence[str]) -> str:
    return " , ".join(phrases)


def _what(thing: Thing | None) -> Answer:
    return Answer("nothing") if thing is None else Answer(phrase_of(thing), (thing,))


def _at(facts: Facts, x: str) -> Answer:
    return _what(facts.at.get(PLACES.index(x)))


def _where(facts: Facts, x: str) -> Answer | None:
    thing = facts.unique.get(x)
    return thing and Answer(f"at the {PLACES[thing.cell]}", (thing,))


_CATEGORY_OF_PHRASE = {category_phrase(category): category for category in CATEGORIES}
_CATEGORY_OF_PLURAL = {plural(category): category for category in CATEGORIES}
_NAME_OF_PHRASE = {with_article(name): name for name in ALL_NAMES}
_NAME_OF_PLURAL = {plural(name): name for name in ALL_NAMES}


def _exist(facts: Facts, x: str) -> Answer:
    if x in _CATEGORY_OF_PHRASE:
        return Answer("yes" if facts.in_category(_CATEGORY_OF_PHRASE[x]) else "no")
    found = facts.named(_NAME_OF_PHRASE[x])
    return Answer("yes" if found else "no", found)


def _count(facts: Facts, x: str) -> Answer:
    if x in _CATEGORY_OF_PLURAL:
        return Answer(NUMBERS[len(facts.in_category(_CATEGORY_OF_PLURAL[x]))])
    found = facts.named(_NAME_OF_PLURAL[x])
    return Answer(NUMBERS[len(found)], found)


def neighbour_cell(cell: int, way: str) -> int | None:
    """Give the cell next to a cell ("left of" or "to the left of" it), None off the picture."""
    down, right = DIRECTIONS[way.removeprefix("to the ")]
    row, column = cell // 3 + down, cell % 3 + right
    return row * 3 + column if 0 <= row < 3 and 0 <= column < 3 else None


def _rel(facts: Facts, x: str, way: str) -> Answer | None:
    thing = facts.unique.get(x)
    cell = None if thing is None else neighbour_cell(thing.cell, way)
    return None if cell is None else _what(facts.at.get(cell))


def _color(facts: Facts, x: str) -> Answer | None:
    shapes = [thing for thing in facts.things if thing.kind == "shape" and thing.name == x]
    return Answer(shapes[0].color, (shapes[0],)) if len(shapes) == 1 else None


def _read(facts: Facts) -> Answer | None:
    sign = facts.unique.get("sign")
    return sign and Answer(sign.name, (sign,))


def _total(facts: Facts) -> Answer:
    return Answer(NUMBERS[len(facts.things)])


def _cat(facts: Facts, x: str) -> Answer:
    found = facts.in_category(_CATEGORY_OF_PLURAL[x])
    return Answer(_listed([phrase_of(thing) for thing in found]) or "none")


def _list(facts: Facts) -> Answer:
    phrases = [f"{phrase_of(thing)} at the {PLACES[thing.cell]}" for thing in facts.in_order]
    return Answer(_listed(phrases))


def ways() -> list[str]:
    """List the directions in every wording: "above", "left of", "to the left of"."""
    return [*DIRECTIONS, *(f"to the {way}" for way in DIRECTIONS if way.endswith(" of"))]


def _blanks(values: Iterable[str]) -> list[dict[str, str]]:
    return [{"x": value} for value in values]


def _no_blanks(_facts: Facts) -> list[dict[str, str]]:
    return [{}]


KINDS = {
    "at": Kind(
        (
            "what is at the {x} ?",
            "what is in the {x} ?",
            "what do you see at the {x} ?",
            "name the thing at the {x} .",
            "what is on the {x} ?",
            "{x} ?",
        ),
        lambda _facts: _blanks(PLACES),
        _at,
    ),
    "where": Kind(
        (
            "where is the {x} ?",
            "find the {x} .",
            "locate the {x} .",
            "where can you see the {x} ?",
            "in which part of the picture is the {x} ?",
        ),
        lambda facts: _blanks(facts.unique),
        _where,
    ),
    "exist": Kind(
        (
            "is there {x} ?",
            "do you see {x} ?",
            "can you see {x} ?",
            "is there {x} in the picture ?",
            "does the picture show {x} ?",
        ),
        lambda _facts: _blanks([*_NAME_OF_PHRASE, *_CATEGORY_OF_PHRASE]),
        _exist,
    ),
    "count": Kind(
        (
            "how many {x} are there ?",
            "how many {x} do you see ?",
            "count the {x} .",
            "how many {x} are in the picture ?",
        ),
        lambda _facts: _blanks([*_NAME_OF_PLURAL, *_CATEGORY_OF_PLURAL]),
        _count,
    ),
    "rel": Kind(
        (
            "what is {way} the {x} ?",
            "what do you see {way} the {x} ?",
            "name the thing {way} the {x} .",
        ),
        lambda facts: [{"x": name, "way": way} for name in facts.unique for way in ways()],
        _rel,
    ),
    "color": Kind(
        (
            "what color is the {x} ?",
            "which color is the {x} ?",
            "what is the color of the {x} ?",
        ),
        lambda _facts: _blanks(SHAPES),
        _color,
    ),
    "read": Kind(
        (
            "what does the sign say ?",
            "what word is written ?",
            "read the sign .",
            "what is written on the sign ?",
            "read the text .",
        ),
        _no_blanks,
        _read,
    ),
    "total": Kind(
        (
            "how many things are there ?",
            "how many objects do you see ?",
            "count the objects .",
            "how many things are in the picture ?",
        ),
        _no_blanks,
        _total,
    ),
    "cat": Kind(
        (
            "what {x} do you see ?",
            "which {x} are there ?",
            "name the {x} .",
            "list the {x} in the picture .",
        ),
        lambda _facts: _blanks(_CATEGORY_OF_PLURAL),
        _cat,
    ),
    "list": Kind(
        (
            "describe the picture .",
            "what is in the picture ?",
            "what do you see ?",
            "describe the image .",
            "what is in this image ?",
        ),
        _no_blanks,
        _list,
    ),
}
