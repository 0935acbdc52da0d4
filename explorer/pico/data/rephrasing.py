"""The same question in other words, and the question that asks the other way round.

Reads a question of the grammar back into its kind and blanks. The grammar has no "is the star left
of the moon ?": pico is asked instead what is left of the moon, and then what is right of that
thing. Knows questions and answers as texts; not scenes or models.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from explorer.pico.data.grammar import ALL_NAMES, KINDS, category_phrase, ways
from explorer.pico.data.questions import normalise
from explorer.pico.data.vocabulary import CATEGORIES, NUMBERS, PLACES, SHAPES, plural, with_article

_PHRASES = {with_article(name): name for name in ALL_NAMES}
_PLURALS = {plural(name): name for name in ALL_NAMES}
_CATEGORY_PHRASES = {category_phrase(category): category for category in CATEGORIES}
_CATEGORIES = {plural(category): category for category in CATEGORIES}
_BLANKS = {
    "at": frozenset(PLACES),
    "where": frozenset(ALL_NAMES),
    "exist": frozenset((*_PHRASES, *_CATEGORY_PHRASES)),
    "count": frozenset((*_PLURALS, *_CATEGORIES)),
    "rel": frozenset(ALL_NAMES),
    "color": frozenset(SHAPES),
    "cat": frozenset(_CATEGORIES),
}
SIGN = "sign"
ONE = NUMBERS[1]
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Make what every wording looks like with its blanks filled in."""
    some_way = "|".join(sorted(map(re.escape, ways()), key=len, reverse=True))
    found = []
    for key, kind in KINDS.items():
        for wording in kind.wordings:
            text = re.escape(wording).replace(r"\{x\}", "(?P<x>.+)")
            text = text.replace(r"\{way\}", f"(?P<way>{some_way})")
            found.append((key, re.compile(text)))
    return tuple(found)


def parse(question: str) -> tuple[str, dict[str, str]] | None:
    """Give the kind of a question and what its blanks are filled with; None if pico has no such."""
    text = normalise(question).replace(" in the image ?", " in the picture ?")
    for key, pattern in _patterns():
        found = pattern.fullmatch(text)
        if found and found.groupdict().get("x", "") in _BLANKS.get(key, {""}):
            return key, found.groupdict()
    return None


def paraphrases(question: str) -> list[str]:
    """List other wordings of a question, whose right answer is the same."""
    parsed = parse(question)
    if parsed is None:
        return []
    kind, blanks = parsed
    texts = [wording.format(**blanks) for wording in KINDS[kind].wordings]
    return [text for text in texts if text != normalise(question)]


@dataclass(frozen=True)
class Converse:
    """A question that asks the other way round, and what its answer would have to be.

    expected: in words; holds: whether an answer is that. counted: a question that has to be
    answered by `ONE`, since of several same things each has its own place; "" where that is no
    matter.
    """

    question: str
    expected: str
    holds: Callable[[str], bool]
    counted: str = ""


def converse(question: str, answer: str) -> Converse | None:
    """Ask the other way round about an answer that was given, be it right or wrong.

    "what is left of the star ?", answered "a moon", becomes "what is right of the moon ?". None for
    kinds of questions that have no converse, and for answers that name no single thing.
    """
    parsed = parse(question)
    if parsed is None:
        return None
    kind, blanks = parsed
    told = normalise(answer).removesuffix(" ?")
    return _CONVERSES[kind](told, **blanks) if kind in _CONVERSES else None


def _exactly(question: str, expected: str, counted: str = "") -> Converse:
    return Converse(question, expected, lambda answer: answer.strip() == expected, counted)


def _thing_of(answer: str) -> str | None:
    """Give the name of the one thing that an answer names."""
    return SIGN if answer.startswith(f"a {SIGN} saying ") else _PHRASES.get(answer)


def _is(question: str, name: str, counted: str = "") -> Converse:
    """Ask for a thing."""

    def holds(answer: str) -> bool:
        return _thing_of(answer.strip()) == name

    return Converse(question, with_article(name), holds, counted)


def _how_many(name: str) -> str:
    return f"how many {plural(name)} are there ?" if plural(name) in _PLURALS else ""


def _rel(answer: str, x: str, way: str) -> Converse | None:
    name, back = _thing_of(answer), OPPOSITE[way.removeprefix("to the ")]
    return None if name is None else _is(f"what is {back} the {name} ?", x, _how_many(name))


def _where(answer: str, x: str) -> Converse | None:
    place = answer.removeprefix("at the ")
    return _is(f"what is at the {place} ?", x) if place in PLACES else None


def _at(answer: str, x: str) -> Converse | None:
    name = _thing_of(answer)
    if name is None:
        return None
    return _exactly(f"where is the {name} ?", f"at the {x}", _how_many(name))


def _exist(answer: str, x: str) -> Converse | None:
    asked = f"how many {plural((_PHRASES | _CATEGORY_PHRASES)[x])} are there ?"
    if answer == "no":
        return _exactly(asked, NUMBERS[0])
    if answer != "yes":
        return None
    return Converse(asked, "one or more", lambda given: given.strip() in NUMBERS[1:])


def _count(answer: str, x: str) -> Converse | None:
    if answer not in NUMBERS:
        return None
    one = with_article(_PLURALS[x]) if x in _PLURALS else category_phrase(_CATEGORIES[x])
    asked = f"is there {one} ?"
    return _exactly(asked, "no" if answer == NUMBERS[0] else "yes")


_CONVERSES: dict[str, Callable[..., Converse | None]] = {
    "rel": _rel,
    "where": _where,
    "at": _at,
    "exist": _exist,
    "count": _count,
}
