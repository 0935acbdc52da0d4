"""The use cases: analyse a picture and a question, answer from fewer visual tokens, compare.

Pure functions, used alike by the page, the API, the command line and the tests. What they remember
goes into a `Memory` that the caller owns and may leave out. They know models, methods and metrics;
they do not know pages, sessions or ground truth.
"""

from __future__ import annotations

from explorer.analysis import analyse, draw
from explorer.answers import FULL, answer, check_budget, stream, stream_full
from explorer.comparison import compare
from explorer.reencode import second_looks

__all__ = [
    "FULL",
    "analyse",
    "answer",
    "check_budget",
    "compare",
    "draw",
    "second_looks",
    "stream",
    "stream_full",
]
