"""Measure a model at its true size: `python -m explorer bench --real smolvlm-256m`.

One run compares the explorer with plain transformers: same random weights, same picture and words,
same precision, one behind the other in one process. Seconds of a busy machine say little; their
ratios, and seconds of the processor (all cores added), say more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch.utils.hooks import RemovableHandle
from transformers.generation.streamers import BaseStreamer

from explorer import analyses
from explorer.cases.answers import stream
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.tools.bench.real.build import build, parameters
from explorer.tools.bench.real.memory import PICTURE, estimate
from explorer.tools.bench.reporting import peak_gigabytes
from explorer.vlm import devices
from explorer.vlm.attention import register_attention
from explorer.vlm.catalog import DEFAULT
from explorer.vlm.components import Vlm
from explorer.vlm.families.anyres import packing_as_cut
from explorer.vlm.loader import at_resolution, default_loader
from explorer.vlm.threads import cpu_threads

QUESTION = "what is in the middle ?"
WORDS = 16  # of an answer; random weights would never end
CACHE_BYTES = 2_000_000_000
TOWER, FIRST, ANSWER = "tower", "first word", "whole answer"
ANALYSIS, ONE = "answer and analysis", "zooprune"
GOALS = {ANSWER: 1.05, ANALYSIS: 1.5, ONE: 0.3}  # over transformers' whole answer
MEMORY_GOAL = 1.3


@dataclass
class Stopwatch:
    """Seconds since it was made at which something happened, by what it was: wall, processor.

    text: the answer.
    """

    text: str = ""
    marks: dict[str, tuple[float, float]] = field(default_factory=dict)
    _began: tuple[float, float] = field(default_factory=lambda: _now())

    def mark(self, name: str) -> None:
        """Note that something has happened, if it has not before."""
        wall, processor = (now - then for now, then in zip(_now(), self._began, strict=True))
        self.marks.setdefault(name, (wall, processor))


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


class _Watched(BaseStreamer):
    """Hears of the prompt and then of every word of transformers' own answer."""

    def __init__(self, watch: Stopwatch):
        self._watch, self._heard = watch, 0

    def put(self, value: torch.Tensor) -> None:
        self._heard += 1
        if self._heard == 2:  # the prompt comes first
            self._watch.mark(FIRST)

    def end(self) -> None:
        self._watch.mark(ANSWER)


@contextmanager
def plain(vlm: Vlm) -> Iterator[None]:
    """Let the model run as transformers loads it, with nobody listening.

    Of fewer canvases than the checkpoint's own its configuration has to be told.
    """
    inner, looks = vlm.model.model, vlm.processor.image_processor
    vlm.model.set_attn_implementation("sdpa")
    if hasattr(looks, "image_grid_pinpoints"):
        vlm.model.model = packing_as_cut(vlm)
    try:
        yield
    finally:
        vlm.model.model = inner
        vlm.model.set_attn_implementation(register_attention())


def _mark_tower(vlm: Vlm, watch: Stopwatch) -> RemovableHandle:
    """Note when the first layer of the language model begins: then the tower has looked."""
    layer = vlm.model.get_decoder().layers[0]
    return layer.register_forward_pre_hook(lambda *_: watch.mark(TOWER))


@torch.no_grad()
def by_transformers(vlm: Vlm, image: Image.Image) -> Stopwatch:
    """Look, read and answer by `generate`."""
    chat = vlm.family.build_prompt(vlm, QUESTION, vlm.family.grid(vlm, *image.size))
    watch = Stopwatch()
    reads = _mark_tower(vlm, watch)
    try:
        with plain(vlm), cpu_threads(vlm.run_threads):
            tokens = vlm.model.generate(
                input_ids=chat.input_ids,
                **vlm.family.preprocess(vlm, image),
                max_new_tokens=vlm.max_new_tokens,
                do_sample=False,
                streamer=_Watched(watch),
            )
    finally:
        reads.remove()
    own = tokens[0, chat.input_ids.shape[1] :]
    watch.text = vlm.processor.tokenizer.decode(own, skip_special_tokens=True).strip()
    return watch


def by_us(vlm: Vlm, image: Image.Image) -> Stopwatch:
    """Do the same, then score by every method that is not slow, and one of them by itself."""
    cache, request = ResultCache(CACHE_BYTES), CaseRequest.make(vlm, image, QUESTION)
    watch = Stopwatch()
    reads = _mark_tower(vlm, watch)
    for answer in stream(request, every=0.0, cache=cache):
        watch.mark(FIRST)
        watch.text = answer.text
    watch.mark(ANSWER)
    reads.remove()
    analyses.score_all(request, cache=cache)
    watch.mark(ANALYSIS)
    alone = Stopwatch()
    analyses.draw(request, ONE, cache=cache)
    alone.mark(ONE)
    watch.marks |= alone.marks
    return watch


def compare(vlm: Vlm, picture: tuple[int, int] = PICTURE) -> dict[str, float]:
    """Let both take their turn, print what they took, and give our ratios to the whole answer."""
    image = scenes.make(1).image.resize(picture)
    runs: dict[str, Stopwatch] = {}
    peaks = {
        name: peak_gigabytes(lambda n=name, w=work: runs.update({n: w(vlm, image)}))
        for name, work in (("transformers", by_transformers), ("here", by_us))
    }
    plain, ours = runs["transformers"].marks, runs["here"].marks
    heads = "".join(f"{head:>19}" for head in ("transformers", "here", "ratio"))
    print(f"{'  seconds (of the processor)':24}{heads}", flush=True)
    for name, taken in ours.items():
        shares = [a / b for a, b in zip(taken, plain.get(name, plain[ANSWER]), strict=True)]
        own = _pair(plain[name], 1) if name in plain else ""
        goal = f"  goal {GOALS[name]:.2f}" if name in GOALS else ""
        print(f"  {name:22}{own:>19}{_pair(taken, 1):>19}{_pair(shares, 2):>19}{goal}", flush=True)
    same = runs["transformers"].text == runs["here"].text
    print(f"  the words are {'the same' if same else 'OTHERS'}", flush=True)
    share = peaks["here"] / peaks["transformers"]
    told = "".join(f"{peak:>16.2f} GB" for peak in peaks.values())
    print(f"  {'peak memory':22}{told}{share:>19.2f}  goal {MEMORY_GOAL:.2f}", flush=True)
    found = {name: ours[name][0] / plain[ANSWER][0] for name in GOALS}
    return found | {"peak memory": share, "gigabytes": peaks["here"]}


def _pair(numbers: Sequence[float], digits: int) -> str:
    """Write a number by the clock and one of the processor."""
    by_clock, of_processor = (f"{number:.{digits}f}" for number in numbers)
    return f"{by_clock} ({of_processor})"


def main(key: str, wished: str = "auto", words: int = WORDS) -> None:
    """Build the model and print the table.

    key: of a model, or "model@resolution"; wished: precision, as `--dtype` has it.
    """
    entry, free = default_loader().catalog.entry(key), devices.free_bytes("cpu")
    dtype, weights = devices.precision(wished, "cpu", entry.dtype), entry.of or entry.key
    kind = str(dtype).removeprefix("torch.")
    print(f"{entry.name} in {kind}, {PICTURE[0]} x {PICTURE[1]} pixels, {words} words", flush=True)
    if key == DEFAULT:
        compare(default_loader().load(key))
        return
    peak = estimate(weights, parameters(weights) * dtype.itemsize, dtype).peak
    told = f"{devices.gigabytes(peak):>32}, {devices.gigabytes(free)} are free"
    print(f"  {'peak memory, reckoned beforehand':32}{told}", flush=True)
    if peak > free:
        print("  That does not fit here. A lower --dtype may.")
        return
    vlm = build(weights, dtype, words)
    compare(at_resolution(vlm, entry) if entry.of else vlm)
