"""Measure an analysis against the model's own answer: `python -m explorer bench --analysis`.

How long scores by every method that is not slow take (`score_all`), and whole maps of what they
keep at every budget (`analyse`), both with the answer, over tower, prefill and answer of the same
untouched model by transformers' `generate`, in turns and in the same precision: on pico, and
on the shape of SmolVLM-256M at full size (13 views, 832 visual tokens) with random weights.
Seconds of the processor are compared; those of the parts are the clock's.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from PIL import Image

from explorer import analyses
from explorer.cases.records import Analysis
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.tools.bench.real.build import build
from explorer.tools.bench.reporting import processor_time, ratio, report
from explorer.vlm.components import Vlm
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import cpu_threads

QUESTION = "what is in the middle ?"
GOAL = 1.5
OWN = "tower, prefill and answer by the model itself"
WORKS: dict[str, Callable[[CaseRequest], Analysis]] = {
    "the answer, and scores by every method that is not slow": analyses.score_all,
    "the same, and what they keep at every budget": analyses.analyse,
}
ANSWER = 10  # tokens; random weights would never end


def smolvlm() -> Vlm:
    """Give SmolVLM-256M with random weights."""
    return build("smolvlm-256m", torch.float32, words=ANSWER)


@torch.no_grad()
def plain(vlm: Vlm, image: Image.Image) -> None:
    """Let the untouched model look, read and answer, as transformers does."""
    chat = vlm.family.build_prompt(vlm, QUESTION, vlm.family.grid(vlm, *image.size))
    pixels = vlm.family.preprocess(vlm, image)
    with cpu_threads(vlm.run_threads):
        vlm.model.generate(
            input_ids=chat.input_ids, **pixels, max_new_tokens=vlm.max_new_tokens, do_sample=False
        )


def measure(name: str, vlm: Vlm, pictures: list[Image.Image], warm: bool) -> dict[str, float]:
    """Take turns, print all and their parts, and give the ratios of medians to the model's own."""
    seconds: dict[str, list[float]] = {each: [] for each in (OWN, *WORKS)}
    parts: dict[str, list[dict[str, float]]] = {each: [] for each in WORKS}

    def work(each: str, image: Image.Image) -> None:
        if each == OWN:
            plain(vlm, image)
        else:
            found = WORKS[each](CaseRequest.make(vlm, image, QUESTION))
            parts[each].append(found.seconds)

    for image in [*pictures[: int(warm)], *pictures]:
        for each, taken in seconds.items():
            taken.append(processor_time(lambda e=each, i=image: work(e, i)))
    medians = {each: statistics.median(taken[int(warm) :]) for each, taken in seconds.items()}
    for each, taken in seconds.items():
        report(f"{name}: {each}, processor", taken[int(warm) :])
        if each != OWN:
            for part in parts[each][0]:
                report(f"  of it {part}", [those[part] for those in parts[each][int(warm) :]])
            ratio("  over the model itself", medians[each] / medians[OWN], GOAL)
    return {each: medians[each] / medians[OWN] for each in WORKS}


def main(rounds: int = 9) -> None:
    """Measure both models and print the rows."""
    square = [scenes.make(seed).image for seed in range(1, rounds + 1)]
    measure("pico", default_loader().load("pico"), square, warm=True)
    measure("SmolVLM-256M", smolvlm(), [square[0].resize((640, 480))], warm=False)
