"""Loads models and answers once, behind the page: a process's first answer is a slow one.

Knows models and use cases; knows nothing of Gradio, and keeps nothing.
"""

from __future__ import annotations

import sys
import threading

from explorer import analyses
from explorer.cases import gpu
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.vlm.catalog import DEFAULT
from explorer.vlm.loader import default_loader


def warm_up(load: str) -> None:
    """Begin in a thread of its own; on a lent GPU, wait for its end.

    load: keys of further models, with commas or blanks between them. What can't be loaded is said
    in a sentence on stderr.
    """
    thread = threading.Thread(target=_load_and_answer, args=(load,), daemon=True)
    thread.start()
    if gpu.ON_ZEROGPU:
        thread.join()


def _load_and_answer(load: str) -> None:
    if not gpu.ON_ZEROGPU:  # nobody could be billed for that lease
        request = CaseRequest.make(DEFAULT, scenes.make(0).image, "what is in the middle ?")
        analyses.answer(request, "visiondrop", 64)
    keys = [DEFAULT, *load.replace(",", " ").split()]
    for sentence in default_loader().preload(keys, only=gpu.ON_ZEROGPU):
        print(sentence, file=sys.stderr)
