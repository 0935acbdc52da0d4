"""Hallucination by asking "is there a ...?" about what is in a picture and what is not (POPE).

Which things are asked about, how an answer is read, and what is counted. Li et al., 2305.10355,
checked against AoiDragon/POPE @ 08d957b. Knows lists of names and texts; not pictures or models.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STRATEGIES = ("random", "popular", "adversarial")
MOST = 3  # things of a picture that are asked about, and as many that are not in it


@dataclass(frozen=True)
class Probe:
    """A thing that is asked about, and whether it is in the picture."""

    thing: str
    there: bool

    @property
    def question(self) -> str:
        """The question, in POPE's words."""
        return question(self.thing)


def question(thing: str) -> str:
    """Ask whether a thing is in the picture."""
    # differs: the official generator writes "an" for every "a" of the sentence: "the imange"
    article = "an" if thing[:1].lower() in tuple("aeiou") else "a"
    return f"Is there {article} {thing} in the image?"


class Corpus:
    """How often things are in pictures, and how often in one with another.

    pictures: the names of the things in each; a name counts once per picture.
    """

    def __init__(self, pictures: Iterable[Sequence[str]]):
        self._counts: Counter[str] = Counter()
        self._beside: dict[str, Counter[str]] = {}
        for names in pictures:
            names = list(dict.fromkeys(names))
            self._counts.update(names)
            for name in names:
                others = self._beside.setdefault(name, Counter())
                others.update(other for other in names if other != name)
        self.names = tuple(self._counts)

    def popular(self) -> list[str]:
        """List all names, the most frequent first; ties in the order in which they came."""
        return [name for name, _ in self._counts.most_common()]

    def beside(self, name: str) -> list[str]:
        """List what is in pictures with this thing, the most frequent first."""
        return [other for other, _ in self._beside.get(name, Counter()).most_common()]


def probes(
    names: Sequence[str], corpus: Corpus, strategy: str, rng: random.Random, most: int = MOST
) -> list[Probe]:
    """Ask about up to `most` things of a picture, and after each about one that is not in it.

    names: of the things in the picture. strategy: "random" draws from all names of the corpus,
    "popular" takes the most frequent, "adversarial" what is most often in pictures with the thing
    just asked about; where that list is used up, one is drawn. No thing is asked about twice.
    """
    asked: list[Probe] = []
    there = list(dict.fromkeys(names))
    absent = dict.fromkeys(name for name in corpus.names if name not in there)
    for name in there[:most]:
        asked.append(Probe(name, True))
        ordered: list[str] = []
        if strategy != "random":
            ordered = corpus.popular() if strategy == "popular" else corpus.beside(name)
        other = next((each for each in ordered if each in absent), None)
        if other is None and absent:
            other = _drawn(corpus.names, absent, rng)
        if other is not None:
            del absent[other]
            asked.append(Probe(other, False))
    return asked


def _drawn(names: Sequence[str], allowed: Iterable[str], rng: random.Random) -> str:
    """Draw until one is allowed, as the official code does: the same seed, the same choice."""
    while (name := rng.choice(names)) not in allowed:
        pass
    return name


def says_yes(answer: str) -> bool:
    """Read an answer: no if the first sentence has the word "No", "not" or "no", else yes.

    The official rule, commas taken out and words split at blanks: "None" and "Nope" count as yes.
    """
    words = answer.split(".")[0].replace(",", "").split(" ")
    return not {"No", "not", "no"} & set(words)


@dataclass(frozen=True)
class Confusion:
    """Counts of answers; "yes" is the positive one. A false positive is a hallucination."""

    tp: int
    fp: int
    tn: int
    fn: int

    @classmethod
    def of(cls, said: Iterable[bool], there: Iterable[bool]) -> Confusion:
        """Count. said: whether yes was answered; there: whether it was right."""
        pairs = Counter(
            (bool(yes), bool(is_there)) for yes, is_there in zip(said, there, strict=True)
        )
        return cls(pairs[True, True], pairs[True, False], pairs[False, False], pairs[False, True])

    @property
    def n(self) -> int:
        """All answers."""
        return self.tp + self.fp + self.tn + self.fn

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return _share(self.tp + self.tn, self.n)

    @property
    def precision(self) -> float:
        """Share of the things said to be there that are; 0 where nothing is said to be there."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the things that are there and are said to be; 0 where nothing is there."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 where both are."""
        return _share(2 * self.precision * self.recall, self.precision + self.recall)

    @property
    def yes_ratio(self) -> float:
        """Share of "yes" among the answers."""
        return _share(self.tp + self.fp, self.n)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def mistake(said: bool, there: bool) -> str:
    """Name a wrong answer: "hallucinated" (yes, but not there) or "lost"; "" for a right one."""
    return "" if said == there else "hallucinated" if said else "lost"


def change(full: bool, pruned: bool, there: bool) -> str:
    """Tell what pruning did to an answer: "fixed", "broken", or "" where both are equally right."""
    if (full == there) == (pruned == there):
        return ""
    return "fixed" if pruned == there else "broken"
