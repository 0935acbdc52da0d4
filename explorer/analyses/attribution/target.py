"""What is to be explained: the full answer, an answer that somebody types, or words of either.

Knows how such an answer becomes tokens; not how it is explained.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from explorer.cases.answers import full_run
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case
from explorer.cases.records import words_of
from explorer.errors import BadAnswer
from explorer.vlm.prompt import as_read, unknown_words

MAX_CHARACTERS = 200  # of a typed answer
MAX_AROUND = 2_000  # of a text of which some words are explained


@dataclass(frozen=True)
class Target:
    """What is to be explained: the full answer, or a typed `text`; all of it, or words of it.

    word: the number of the first of `n_words`. Words of a text are parted by blanks, and only one
    with `text` can be more than one.
    """

    word: int | None = None
    text: str | None = None
    n_words: int = 1


@dataclass(frozen=True)
class TargetTokens:
    """A target as tokens: those in the span are scored.

    text: what they say; words: those of the full answer.
    """

    tokens: tuple[int, ...]
    span: tuple[int, int]
    text: str
    words: tuple[str, ...]


def target_tokens(case: Case, target: Target, cache: ResultCache | None = None) -> TargetTokens:
    """Find the tokens of a target, or raise `BadAnswer` with a sentence."""
    full = full_run(case, cache)
    spoken = tuple(token for token in full.tokens if token not in case.decoder.eos)
    words = words_of(full.answer.tokens)
    names = tuple(text for text, *_ in words)
    if target.text is not None and target.word is not None:
        typed, span, text = _words_of_typed(case, target.text, target.word, target.n_words)
        return TargetTokens(typed, span, text, names)
    if target.text is not None:
        typed, text = _typed(case, target.text)
        return TargetTokens(typed, (0, len(typed)), text, names)
    if not spoken:
        raise BadAnswer("The model says nothing here, so there is no answer to explain.")
    if target.word is None:
        return TargetTokens(spoken, (0, len(spoken)), full.answer.text, names)
    if type(target.word) is not int or not 0 <= target.word < len(words):
        raise BadAnswer(f"The answer has {len(words)} words; there is no such word in it.")
    text, first, last = words[target.word]
    return TargetTokens(spoken, (first, last), text, names)


def _words_of_typed(
    case: Case, text: str, word: int, n_words: int
) -> tuple[tuple[int, ...], tuple[int, int], str]:
    """Give the tokens of a typed text, those of them that make some of its words, and the words."""
    tokens, text = _typed(case, text, MAX_AROUND)
    words = list(re.finditer(r"\S+", text))[word : word + n_words] if word >= 0 else []
    if n_words < 1 or len(words) < n_words:
        raise BadAnswer("The text has fewer words; there is no such word in it.")
    start, stop = words[0].start(), words[-1].end()
    tokenizer = case.vlm.processor.tokenizer
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    inside = [i for i, (a, b) in enumerate(read["offset_mapping"]) if a < stop and b > start]
    return tokens, (inside[0], inside[-1] + 1), text[start:stop]


def _typed(case: Case, text: str, most: int = MAX_CHARACTERS) -> tuple[tuple[int, ...], str]:
    """Give the tokens of a typed answer, and it as the model reads it."""
    tokenizer = case.vlm.processor.tokenizer
    if not isinstance(text, str) or len(text) > most:
        raise BadAnswer(f"Please keep the answer under {most + 1} characters.")
    text = " ".join(as_read(text, tokenizer).split())
    if not text:
        raise BadAnswer("Please type the answer that you want explained.")
    unknown = unknown_words(text, tokenizer)
    if unknown:
        raise BadAnswer(f"{case.vlm.title} can't say “{unknown[0]}”: it does not know the word.")
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"]), text
