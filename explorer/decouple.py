"""What a frame is asked for: the question turned into things to look for, as QuoTA does.

Luo et al., arXiv 2503.08689; MAC-AutoML/QuoTA @ec194d7, quota_pipeline.py (retrieve_pmt_0) and
tools/qwen2vl_batch.py: a model lists the things in three steps, and each frame is asked whether it
shows any of them; A is yes, and its probability the frame's score. The wording of the list prompt
is ours, its steps and the two frame questions are the code's. Knows words only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_THINGS, MOST_LETTERS = 8, 40
YES = "A"  # the option that stands for yes

LISTING = """Here is a question about a video: {question}
Which things must one see in a frame to answer it? Go through three steps.
Step 1: must physical things be detected? Write yes or no.
Step 2: write the things as a Python list.
Step 3: keep the physical things of that list, or write null.
Examples:
Question: How many dogs run over the bridge?
Step 1: yes
Step 2: ["dog", "bridge", "running"]
Step 3: ["dog", "bridge"]
Question: What mood is the film in?
Step 1: no
Step 2: ["mood"]
Step 3: null
Question: What does the woman put on the table?
Step 1: yes
Step 2: ["woman", "table", "thing put down"]
Step 3: ["woman", "table"]
Question: {question}"""

OPTIONS = "A. yes, B. no\nAnswer with the option's letter directly."


def listed(reply: str) -> list[str]:
    """Read the things out of a model's reply; an empty list where it names none.

    The official code breaks down where step 1 says no or a step is missing; it means this.
    """
    reply = reply.lower()
    needed = re.search(r"step 1: (yes|no)", reply)
    found = re.search(r"step 3: (\[[^\]]*\])", reply)
    if needed is None or needed[1] == "no" or found is None:
        return []
    return tidy(re.split(r"[,\[\]]", found[1]))


def typed(text: str) -> list[str]:
    """Read things that a visitor has typed, parted by commas."""
    return tidy(re.split(r"[,;\n]", text.lower()))


def tidy(words: Sequence[str]) -> list[str]:
    """Strip quotes and blanks, drop empty and repeated things, and keep the first few."""
    stripped = (" ".join(word.strip(" \t'\"").split()) for word in words)
    return list(dict.fromkeys(word[:MOST_LETTERS] for word in stripped if word))[:MOST_THINGS]


def frame_question(things: Sequence[str], question: str) -> str:
    """Ask one frame for the things, or, where nothing is named, whether it is enough to answer."""
    if things:
        return f"Does the image contain any object of {', '.join(things)}? {OPTIONS}"
    return (
        f"{question}\nDoes the image contain sufficient information to answer the given "
        f"question? {OPTIONS}"
    )
