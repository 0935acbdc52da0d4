"""Hallucination in captions: which named things are not in the picture (CHAIR), and recall.

A caption's words in lower case and singular, two-word things joined, synonyms followed (Rohrbach et
al. 2018, checked against LisaAnne/Hallucination @ 6e4d33c). Beside it always the recall: who says
less hallucinates less for the wrong reason. Knows texts and names; not pictures or models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

WORD = re.compile(r"[^\W\d_]+|[^\w\s]|\d+")
# Pairs of words that COCO's captions mean as one; of those below, what the first only qualifies.
PAIRS = (
    "motor bike, motor cycle, air plane, traffic light, street light, traffic signal, stop light, "
    "fire hydrant, stop sign, parking meter, suit case, sports ball, baseball bat, baseball glove, "
    "tennis racket, wine glass, hot dog, cell phone, mobile phone, teddy bear, hair drier, "
    "potted plant, laptop computer, home plate, train track"
).split(", ")
ANIMALS = "bird cat dog horse sheep cow elephant bear zebra giraffe animal cub".split()
VEHICLES = "jet train".split()
DOUBLE_WORDS = {
    **{pair: pair for pair in PAIRS},
    **{f"{age} {animal}": animal for age in ("baby", "adult") for animal in ANIMALS},
    **{f"passenger {vehicle}": vehicle for vehicle in VEHICLES},
    "bow tie": "tie",
    "toilet seat": "toilet",
    "wine glas": "wine glass",  # what a plain rule for plurals leaves of "wine glass"
}


def as_it_is(word: str) -> str:
    """Leave a word alone: for captions whose words are singular already."""
    return word


@dataclass(frozen=True)
class Lexicon:
    """The words that name things.

    names: for every word or pair of words the thing that it means, itself among them. doubles:
    pairs of words, and what they are read as. singular: takes a word in lower case.
    """

    names: Mapping[str, str]
    doubles: Mapping[str, str] = field(default_factory=lambda: DOUBLE_WORDS)
    singular: Callable[[str], str] = as_it_is

    @classmethod
    def of(cls, synonyms: Iterable[Sequence[str]], **options: object) -> Lexicon:
        """Make one from groups of synonyms, of which the first is the thing's name."""
        return cls({word: group[0] for group in synonyms for word in group}, **options)


@dataclass(frozen=True)
class Mention:
    """A place in a caption that names a thing: characters start to stop."""

    thing: str
    start: int
    stop: int


def mentions(caption: str, lexicon: Lexicon) -> list[Mention]:
    """Find what a caption names, in its order; repeats count."""
    words = [
        (lexicon.singular(found.group().lower()), found.start(), found.end())
        for found in WORD.finditer(caption)
    ]
    read: list[tuple[str, int, int]] = []
    at = 0
    while at < len(words):
        double = lexicon.doubles.get(" ".join(word for word, *_ in words[at : at + 2]))
        if double is not None and at + 1 < len(words):
            read.append((double, words[at][1], words[at + 1][2]))
            at += 2
        else:
            read.append(words[at])
            at += 1
    if "toilet" in [word for word, *_ in read]:  # its seat is no chair
        read = [each for each in read if each[0] != "seat"]
    return [
        Mention(lexicon.names[word], start, stop)
        for word, start, stop in read
        if word in lexicon.names
    ]


@dataclass(frozen=True)
class Captioned:
    """What a caption names, and the names of the things that are there."""

    mentions: tuple[Mention, ...]
    there: frozenset[str]

    @classmethod
    def of(cls, caption: str, there: Iterable[str], lexicon: Lexicon) -> Captioned:
        """Read a caption; what is there may be told in synonyms."""
        names = frozenset(lexicon.names.get(name, name) for name in there)
        return cls(tuple(mentions(caption, lexicon)), names)

    @property
    def hallucinated(self) -> tuple[Mention, ...]:
        """The mentions of what is not there."""
        return tuple(each for each in self.mentions if each.thing not in self.there)

    @property
    def named(self) -> frozenset[str]:
        """The things that are there and are named."""
        return self.there & {each.thing for each in self.mentions}

    @property
    def chair_i(self) -> float:
        """Share of the mentions that are hallucinated; 0 without any."""
        return chair_i([self])

    @property
    def chair_s(self) -> int:
        """1 if anything is hallucinated, else 0."""
        return int(bool(self.hallucinated))

    @property
    def recall(self) -> float:
        """Share of the things that are there which are named; 1 where nothing is there."""
        return recall([self])


def chair_i(captions: Sequence[Captioned]) -> float:
    """Give CHAIRi: hallucinated mentions over all mentions, of all captions together."""
    total = sum(len(each.mentions) for each in captions)
    return sum(len(each.hallucinated) for each in captions) / total if total else 0.0


def chair_s(captions: Sequence[Captioned]) -> float:
    """Give CHAIRs: the share of captions that hallucinate; 0 without captions."""
    return sum(each.chair_s for each in captions) / len(captions) if captions else 0.0


def recall(captions: Sequence[Captioned]) -> float:
    """Give the things that are there and named over all that are there; 1 where nothing is."""
    there = sum(len(each.there) for each in captions)
    return sum(len(each.named) for each in captions) / there if there else 1.0
