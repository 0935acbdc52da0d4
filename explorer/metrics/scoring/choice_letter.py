"""Which letter of a multiple choice an answer names: "B", "(b)", "The answer is B.", "B. a dog".

The steps of MMMU's `parse_multi_choice_response` (MMMU-Benchmark/MMMU, eval_utils.py), with the
phrase of LLaVA's eval_science_qa.py before them. Knows texts; not pictures or models.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from explorer.metrics.fidelity import normalise

LETTERS = string.ascii_uppercase
INSTRUCTION = "Answer with the option's letter from the given choices directly."
"""What LLaVA-1.5 puts behind the choices (Liu et al., 2310.03744)."""
ALONE = re.compile(r"\W*([A-Za-z])\W*")
AHEAD = re.compile(r"\W*([A-Z])\s*[.):]|\(([A-Za-z])\)")  # "B. a dog", "(b) a dog"
PHRASE = re.compile(r"\b(?:answer|option|choice)\b(?:\s+is)?\s*:?\s*\(?([A-Z])\b", re.IGNORECASE)
BRACKETS = re.compile(r"\(([A-Za-z])\)")
WORD = re.compile(r"(?<![\w'])([B-HJ-Z]|[AI](?!\s+(?!is\b)[a-z]))(?![\w'])")
"""A letter that stands as a word; not the first word of "A dog" or "I think"."""


def listed(choices: Sequence[str]) -> str:
    """Write choices behind their letters: "A. a cat B. a dog"."""
    return " ".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def letter_of(answer: str, choices: Sequence[str] = ()) -> str | None:
    """Name the letter that an answer means, or None where it means none.

    choices: what the letters stand for; without them every letter counts. A letter by itself, in
    front, or behind "the answer is" counts first, then the last one in brackets, then the last that
    stands as a word, then the last choice that is written out.
    """
    # differs: MMMU guesses at random where nothing is found; here that is no answer
    allowed = LETTERS[: len(choices)] if choices else LETTERS
    text = answer.strip()
    for found in (ALONE.fullmatch(text), AHEAD.match(text)):
        if found and (letter := _first(found).upper()) in allowed:
            return letter
    bracketed = [letter.upper() for letter in BRACKETS.findall(text)]
    for named in (PHRASE.findall(text), bracketed, WORD.findall(text)):
        letters = [letter for letter in named if letter in allowed]
        if letters:
            return letters[-1]
    return _written_out(text, choices)


def _first(found: re.Match) -> str:
    return next(group for group in found.groups() if group)


def _written_out(text: str, choices: Sequence[str]) -> str | None:
    """Find the choice that stands in a text: of several the last, of two in one the longer."""
    said = f" {normalise(text)} "
    places = []
    for letter, choice in zip(LETTERS, choices, strict=False):
        words = f" {normalise(choice)} "
        if words.strip() and words in said:
            places.append((said.rfind(words) + len(words), len(words), letter))
    return max(places)[2] if places else None
