"""Measure a watched answer against a plain one: `python -m explorer bench --inside`.

What `look_inside` takes over `answer`, in turns and from the same tokens: all of them, and a third
that random keeps, with the full answer known. The tower, which both need, has run before.
On pico, and on the shape of SmolVLM-256M at full size (13 views, 832 visual tokens) with random
weights. Seconds of the processor are compared, which a busy machine changes little; peak memory in
processes of their own (Linux only).
"""

from __future__ import annotations

import time
from functools import partial

from PIL import Image

from explorer import analyses
from explorer.cases.cache import ResultCache, VisionKey
from explorer.cases.generation import FULL
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.tools.bench.analysis_ratio import QUESTION, smolvlm
from explorer.tools.bench.reporting import alone, median_ratio, peak_gigabytes, ratio, report
from explorer.vlm.components import Vlm
from explorer.vlm.loader import default_loader

GOAL = 1.3
METHOD = "random"  # any tower will do, and choosing costs nothing
CACHE_BYTES = 256_000_000
WORKS = {"plain": analyses.answer, "watched": analyses.look_inside}
MODELS = {"pico": (48, 64), "SmolVLM-256M": (4, 277)}  # rounds, and tokens of the pruned run


def model(name: str) -> Vlm:
    """Give a model to be measured."""
    return smolvlm() if name != "pico" else default_loader().load(name)


def picture(name: str, number: int) -> Image.Image:
    """Give a picture, in SmolVLM's case one that is cut into twelve pieces."""
    image = scenes.make(number).image
    return image if name == "pico" else image.resize((640, 480))


def watched_and_plain(name: str) -> None:
    """Take turns on new pictures, and print both and their ratio."""
    vlm, (rounds, budget) = model(name), MODELS[name]
    taken: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        request = CaseRequest.make(vlm, picture(name, number), QUESTION)
        known = ResultCache(CACHE_BYTES)
        analyses.answer(request, cache=known)
        for tokens, run in (("all", (FULL, 1)), (f"{budget}", (METHOD, budget))):
            for kind in list(WORKS)[:: 1 if number % 2 else -1]:
                cache = begun(request, vlm, known, answered=run[0] != FULL)
                began = time.process_time()
                WORKS[kind](request, *run, cache=cache)
                if number:  # the first one warms up
                    seconds = taken.setdefault((tokens, kind), [])
                    seconds.append(time.process_time() - began)
    for tokens in dict.fromkeys(tokens for tokens, _ in taken):
        plain, watched = taken[tokens, "plain"], taken[tokens, "watched"]
        report(f"{name}, {tokens} tokens: plain answer, processor", plain)
        report("  watched answer, processor", watched)
        ratio("  watched / plain", median_ratio(watched, plain), GOAL)


def begun(request: CaseRequest, vlm: Vlm, known: ResultCache, answered: bool) -> ResultCache:
    """Give a cache with what the tower has made of the picture, and with the full answer."""
    cache = ResultCache(CACHE_BYTES)
    seen = VisionKey(vlm.key, request.picture.digest)
    vision = known.get(seen)
    cache.put(seen, vision, vision.nbytes)
    for entry in known.entries_of(request.id) if answered else ():
        cache.put(*entry)
    return cache


def peak(name: str, kind: str) -> float:
    """Give the peak memory of one of the two, in GB."""
    vlm = model(name)

    def work() -> None:
        for number in range(3):
            WORKS[kind](CaseRequest.make(vlm, picture(name, number), QUESTION))

    return peak_gigabytes(work)


def main() -> None:
    """Measure both models and print the rows."""
    for name in MODELS:
        watched_and_plain(name)
        before, after = (alone(partial(peak, name, kind)) for kind in ("plain", "watched"))
        print(f"{'  peak memory of plain, of watched':58} {before:.2f} GB, {after:.2f} GB")
        ratio("  peak memory of watched / plain", after / before, GOAL)
