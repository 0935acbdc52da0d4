"""Which things are asked about, those of a scene or what a visitor types; how they are called.

Knows names, and the built-in set of scenes from which popular and adversarial things are taken; not
answers, methods or models.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from explorer import ROOT
from explorer.errors import BadMessage
from explorer.media.grid import Box
from explorer.metrics.effects import pope
from explorer.metrics.effects.chair import DOUBLE_WORDS, Lexicon
from explorer.metrics.effects.pope import Corpus
from explorer.pico.data.grammar import name_of
from explorer.pico.data.scenes import Scene
from explorer.pico.data.vocabulary import COLORED_SHAPES, IRREGULAR_PLURALS, OBJECTS, SIGN_WORDS

FOLDER = ROOT / "assets" / "effects"
SCENES = FOLDER / "scenes.json"  # the names of the things of every scene of the built-in set
MOST_THINGS, MOST_CHARACTERS = 12, 40
THERE, TYPED = "there", "typed"  # ways in which a thing came to be asked about, besides strategies

# What COCO's pictures are labelled with, and other words for the same thing.
COCO = (
    "person/man/woman/boy/girl/child/people, bicycle/bike, car, motorcycle/motorbike, "
    "airplane/plane, bus, train, truck, boat/ship, traffic light, fire hydrant, stop sign, parking "
    "meter, bench, bird, cat/kitten, dog/puppy, horse, sheep, cow, elephant, bear, zebra, giraffe, "
    "backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball/ball, kite, "
    "baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, "
    "fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, "
    "donut/doughnut, cake, chair, couch/sofa, potted plant, bed, dining table/table, toilet, "
    "tv/television, laptop, mouse, remote, keyboard, cell phone/mobile phone, microwave, oven, "
    "toaster, sink, refrigerator/fridge, book, clock, vase, scissors, teddy bear, hair drier, "
    "toothbrush"
)


@dataclass(frozen=True)
class AskedThing:
    """A thing that is asked about.

    there: whether it is in the picture. why: "there", "typed", or the strategy that chose it.
    boxes: where such things are on the picture, if that is known.
    """

    name: str
    there: bool
    why: str = TYPED
    boxes: tuple[Box, ...] = ()

    @property
    def question(self) -> str:
        """What the model is asked."""
        return pope.question(self.name)


def names_in(scene: Scene) -> list[str]:
    """List what is on a scene, each name once, in drawing order."""
    return list(dict.fromkeys(map(name_of, scene.things)))


@lru_cache(maxsize=1)
def built_in_corpus() -> Corpus:
    """Give the things of the built-in scenes."""
    return Corpus(json.loads(SCENES.read_text(encoding="utf-8")))


def asked_of_scene(
    scene: Scene, strategy: str, most: int = pope.MOST, corpus: Corpus | None = None
) -> list[AskedThing]:
    """Choose what to ask about a scene: some things that are there, and as many that are not."""
    lot = random.Random(f"probes {scene.seed} {strategy}")
    boxes: dict[str, list[Box]] = {}
    for thing in scene.things:
        boxes.setdefault(name_of(thing), []).append(thing.box)
    chosen = pope.probes(names_in(scene), corpus or built_in_corpus(), strategy, lot, most)
    return [
        AskedThing(
            probe.thing,
            probe.there,
            THERE if probe.there else strategy,
            tuple(boxes.get(probe.thing, ())),
        )
        for probe in chosen
    ]


def typed(there: str, absent: str) -> list[AskedThing]:
    """Read what a visitor names: "dog/puppy, ball" and what is not there; raises `BadMessage`.

    Words for the same thing are parted by "/"; the first is asked about.
    """
    found = [
        AskedThing(group[0], is_there)
        for text, is_there in ((there, True), (absent, False))
        for group in groups(text)
    ]
    names = [thing.name for thing in found]
    if len(set(names)) < len(names):
        raise BadMessage("The same thing is named twice; it is there, or it is not.")
    return found


def groups(text: str) -> list[tuple[str, ...]]:
    """Read "dog/puppy, ball" as groups of words for the same thing; raises `BadMessage`."""
    cut = [
        tuple(" ".join(word.lower().split()) for word in group.split("/") if word.strip())
        for group in text.split(",")
    ]
    found = [group for group in cut if group]
    if len(found) > MOST_THINGS:
        raise BadMessage(f"Please name at most {MOST_THINGS} things.")
    if any(len(word) > MOST_CHARACTERS for group in found for word in group):
        raise BadMessage(f"A thing's name has at most {MOST_CHARACTERS} characters.")
    return found


def lexicon(more: Iterable[Sequence[str]] = ()) -> Lexicon:
    """Give the words that name things in captions: COCO's, pico's, and what a visitor has named.

    more: groups of words for the same thing, each by the name that comes first. Words that COCO
    takes for the same thing go by the visitor's name, else by pico's, else by COCO's.
    """
    shown = dict.fromkeys((*OBJECTS, *COLORED_SHAPES, "sign"))
    names = {word: group[0] for group in more for word in group}
    for group in (group.split("/") for group in COCO.split(", ")):
        told = [names[word] for word in group if word in names]
        drawn = [word for word in group if word in shown]
        for word in group:
            names.setdefault(word, (*told, *drawn, group[0])[0])
    for name in shown:
        names.setdefault(name, name)
    doubles = dict(DOUBLE_WORDS) | {word: word for word in names if word.count(" ") == 1}
    doubles |= {f"saying {word}": "saying" for word in SIGN_WORDS}  # written, not shown
    known = frozenset(part for word in names for part in word.split())
    return Lexicon(names, doubles, _Singular(known))


@dataclass(frozen=True)
class _Singular:
    """Takes a plural for its singular where that names something."""

    known: frozenset[str]

    def __call__(self, word: str) -> str:
        if word in self.known:
            return word
        for name, several in IRREGULAR_PLURALS.items():
            if word == several:
                return name
        for end, instead in (("ies", "y"), ("es", ""), ("s", "")):
            if word.endswith(end) and word.removesuffix(end) + instead in self.known:
                return word.removesuffix(end) + instead
        return word
