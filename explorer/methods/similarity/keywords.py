"""Keywords: the words of a question that may stand for something in the picture.

The cleaning step of MMTok. Official code: Ironieser/MMTok @d1522cd, mmtok/core/text_processor.py
(extract_keywords_simple). Knows words only: no tokens, no picture.
"""

from __future__ import annotations

import re

NOTHING_ASKED = "What do you see in this image?"
# what benchmarks write behind a question
INSTRUCTIONS = (
    "Answer the question using a single word or phrase.",
    "Answer with the option's letter from the given choices directly.",
)
# "of", "in", "on", "there" and "not" are no stop words
STOP_WORDS = frozenset(
    "a an the is are was were be been being have has had do does did it they he she we you i what "
    "where when why how who which and or but so if then question answer to for with by from at "
    "into onto upon".split()
)


def keywords(question: str) -> str:
    """Give the words that are left without stop words; the question itself if there are none."""
    for instruction in INSTRUCTIONS:
        question = question.replace(instruction, "")
    words = [word for word in re.findall(r"\b\w+\b", question) if word.lower() not in STOP_WORDS]
    return " ".join(words) or question
