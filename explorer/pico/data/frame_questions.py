"""How pico is asked what a frame shows: in yes-no questions of its own grammar.

It can't list what a question is about, nor answer with letters, so the things are found among the
question's words. Knows words only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from explorer.pico.data.grammar import ALL_NAMES, category_phrase
from explorer.pico.data.vocabulary import CATEGORIES, SHAPES, plural, with_article

YES = "yes"
NAMES = (*ALL_NAMES, *SHAPES, *CATEGORIES)
READ = {written: name for name in NAMES for written in (name, plural(name))}
FINDS = re.compile(rf"\b({'|'.join(sorted(READ, key=len, reverse=True))})\b")


def things_in(question: str) -> list[str]:
    """Find the things that a question names, in its order: "how many owls ..." -> ["owl"]."""
    return list(dict.fromkeys(READ[word] for word in FINDS.findall(question.lower())))


def frame_question(thing: str) -> str:
    """Ask whether a thing is there; what pico has no word for is asked for all the same."""
    phrase = category_phrase(thing) if thing in CATEGORIES else with_article(thing)
    return f"is there {phrase} in the picture ?"


def frame_questions(things: Sequence[str]) -> list[str]:
    """Ask for every thing by itself: pico's grammar has no "or"."""
    return [frame_question(thing) for thing in things]
