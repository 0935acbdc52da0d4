"""Questions about a scene: drawn for training, listed with their answers, suggested to a visitor.

What can be asked and what is right comes from the grammar; here is which questions are put, and how
a typed question is found among them. Knows no pixels and no model.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from explorer.pico.data.grammar import DIRECTIONS, KINDS, Facts, category_phrase, name_of
from explorer.pico.data.scenes import Scene, Thing
from explorer.pico.data.vocabulary import (
    AWKWARD_NAMES,
    CATEGORIES,
    COLORS,
    OBJECTS,
    PLACES,
    SHAPES,
    plural,
    with_article,
)

TEMPLATES = {key: kind.wordings for key, kind in KINDS.items()}
# A kind comes as often as it stands here: places are the hardest to learn.
MIX = (
    *("at", "where") * 3,
    *("exist", "count", "rel") * 2,
    *("color", "read", "total", "cat", "list"),
)
GENERAL_QUESTIONS = (
    "what do you see ?",
    "what is in the middle ?",
    "how many things are there ?",
    "what animals do you see ?",
    "what does the sign say ?",
)
ATTEMPTS = 60  # draws before `sample` gives up on a scene with little to ask about
ORDERS = frozenset(
    wording.split()[0] for w in TEMPLATES.values() for wording in w if "." in wording
)

Blanks = dict[str, str]


@dataclass(frozen=True)
class Question:
    """A question, its right answer, its kind, and the things that one must look at."""

    text: str
    answer: str
    kind: str
    targets: tuple[Thing, ...] = ()


def normalise(question: str) -> str:
    """Write a question as the grammar does: "Find the Owl!" is "find the owl ."

    Lower case, single blanks, marks on their own, and at the end the mark that belongs there.
    """
    plain = unicodedata.normalize("NFKC", question).lower()
    words = re.sub(r"([^\w\s]|_)", r" \1 ", plain).split()
    while words and words[-1] in {"?", ".", "!"}:
        words.pop()
    return " ".join([*words, "." if words[0] in ORDERS else "?"]) if words else ""


def truths(scene: Scene) -> dict[str, str]:
    """Give every question of the grammar that has an answer on this scene, with the answer."""
    facts, found = Facts(scene.things), {}
    for kind in KINDS.values():
        for blanks in kind.fills(facts):
            answer = kind.answer(facts, **blanks)
            if answer is not None:
                found |= {wording.format(**blanks): answer.text for wording in kind.wordings}
    return found


def sample(
    scene: Scene,
    rng: random.Random,
    count: int,
    mix: Sequence[str] = MIX,
    only: str | None = None,
) -> list[Question]:
    """Draw up to `count` different questions about a scene, of kinds as frequent as in `mix`.

    only: a single kind. Fewer come back where the scene has too little to ask about.
    """
    facts = Facts(scene.things)
    found: dict[tuple[str, ...], Question] = {}
    for _ in range(ATTEMPTS):
        if len(found) >= count:
            break
        kind = only or rng.choice(mix)
        blanks = _DRAW[kind](facts, rng)
        answer = None if blanks is None else KINDS[kind].answer(facts, **blanks)
        if answer is None or (kind, *blanks.values()) in found:
            continue
        if kind == "rel" and answer.text == "nothing" and rng.random() < 0.8:
            continue  # else most neighbours would be nothing
        text = rng.choice(TEMPLATES[kind]).format(**blanks)
        found[kind, *blanks.values()] = Question(text, answer.text, kind, answer.targets)
    return list(found.values())


def _some_name(facts: Facts, rng: random.Random, present: float) -> str:
    """Draw the name of a thing of the scene, or any name."""
    if facts.things and rng.random() < present:
        return name_of(rng.choice(facts.things))
    if rng.random() < 0.75:
        return rng.choice(OBJECTS)
    if rng.random() < 0.8:
        return f"{rng.choice(list(COLORS))} {rng.choice(SHAPES)}"
    return "sign"


def _draw_place(facts: Facts, rng: random.Random) -> Blanks:
    if facts.things and rng.random() < 0.85:
        return {"x": PLACES[rng.choice(facts.things).cell]}
    return {"x": rng.choice(PLACES)}


def _draw_unique(facts: Facts, rng: random.Random) -> Blanks | None:
    return {"x": rng.choice(list(facts.unique))} if facts.unique else None


def _draw_existing(facts: Facts, rng: random.Random) -> Blanks:
    if rng.random() < 0.2:
        return {"x": category_phrase(rng.choice(list(CATEGORIES)))}
    return {"x": with_article(_some_name(facts, rng, 0.5))}


def _draw_counted(facts: Facts, rng: random.Random) -> Blanks:
    if rng.random() < 0.25:
        return _draw_category(facts, rng)
    return {"x": plural(_some_name(facts, rng, 0.85))}


def _draw_neighbour(facts: Facts, rng: random.Random) -> Blanks | None:
    way = rng.choice(list(DIRECTIONS))
    if way.endswith(" of") and rng.random() < 0.5:
        way = f"to the {way}"
    named = _draw_unique(facts, rng)
    return named and {**named, "way": way}


def _draw_shape(facts: Facts, rng: random.Random) -> Blanks | None:
    shapes = [thing.name for thing in facts.things if thing.kind == "shape"]
    return {"x": rng.choice(shapes)} if shapes else None


def _draw_category(_facts: Facts, rng: random.Random) -> Blanks:
    return {"x": plural(rng.choice(list(CATEGORIES)))}


def _draw_nothing(_facts: Facts, _rng: random.Random) -> Blanks:
    return {}


_DRAW: Mapping[str, Callable[[Facts, random.Random], Blanks | None]] = {
    "at": _draw_place,
    "where": _draw_unique,
    "exist": _draw_existing,
    "count": _draw_counted,
    "rel": _draw_neighbour,
    "color": _draw_shape,
    "read": _draw_nothing,
    "total": _draw_nothing,
    "cat": _draw_category,
    "list": _draw_nothing,
}


def suggest(scene: Scene, count: int = 5, seed: int = 0) -> list[str]:
    """Choose up to `count` questions that fit the picture, one of a kind, a place first.

    Another seed chooses others; the same seed always the same.
    """
    rng, facts = random.Random(f"{scene.seed} {seed}"), Facts(scene.things)
    offers = _offers(facts, rng)
    rest = [kind for kind in offers if kind not in ("at", "read")]
    rng.shuffle(rest)
    first = [kind for kind in ("at", "read") if kind in offers]
    return [offers[kind] for kind in (first + rest)[:count]]


def _offers(facts: Facts, rng: random.Random) -> dict[str, str]:
    """Word one question of every kind that sounds well and isn't answered by "nothing"."""
    offers = {
        "exist": f"is there {with_article(rng.choice(_countable(OBJECTS)))} ?",
        "total": "how many things are there ?",
        "cat": f"what {plural(_category(facts, rng))} do you see ?",
        "list": "what do you see ?",
    }
    if facts.things:
        offers["at"] = _ask_place(rng.choice(facts.things).cell)
    names = _countable(facts.counts)
    several = [name for name in names if facts.counts[name] > 1]
    if names:
        offers["count"] = f"how many {plural(rng.choice(several or names))} are there ?"
    if names and rng.random() < 0.5:
        offers["exist"] = f"is there {with_article(rng.choice(names))} ?"
    unique = _countable(facts.unique)
    if unique:
        offers["where"] = f"where is the {rng.choice(unique)} ?"
    neighbours = [{"x": name, "way": way} for name in unique for way in _SPOKEN_WAYS]
    answered = [(blanks, KINDS["rel"].answer(facts, **blanks)) for blanks in neighbours]
    asked = [blanks for blanks, answer in answered if answer and answer.targets]
    if asked:
        offers["rel"] = "what is {way} the {x} ?".format(**rng.choice(asked))
    shapes = [shape for shape in SHAPES if KINDS["color"].answer(facts, x=shape)]
    if shapes:
        offers["color"] = f"what color is the {rng.choice(shapes)} ?"
    if KINDS["read"].answer(facts):
        offers["read"] = "what does the sign say ?"
    return offers


_SPOKEN_WAYS = ("to the left of", "to the right of", "above", "below")


def _ask_place(cell: int) -> str:
    place = PLACES[cell]
    preposition = {"middle": "in", "left": "on", "right": "on"}.get(place, "at")
    return f"what is {preposition} the {place} ?"


def _countable(names: Sequence[str]) -> list[str]:
    return [name for name in names if name not in AWKWARD_NAMES]


def _category(facts: Facts, rng: random.Random) -> str:
    """Choose a category of which there is something, or any."""
    shown = [category for category in CATEGORIES if facts.in_category(category)]
    return rng.choice(shown or list(CATEGORIES))
