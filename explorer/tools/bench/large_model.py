"""Measure on the shape of LLaVA-1.5-7B, an eighth as wide: `python -m explorer bench --large`.

576 visual tokens, 32 decoder layers of width 512 with 4 heads, a tower of 24 layers of width 128
with 2 heads; random weights. What methods compute from N tokens does not shrink with the width, so
that against a real 7B they weigh less than here. Every measurement has a process of its own: peak
memory is that of a process, counted from when the model is there (Linux only).
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from explorer import ROOT
from explorer.analyses.overview import draw_all
from explorer.cases.case import Case, PromptCache, open_case
from explorer.cases.request import CaseRequest
from explorer.inference.prefill import prefill
from explorer.methods import catalog as method_catalog
from explorer.pico.data import scenes
from explorer.tools.bench.reporting import alone, median_ratio, peak_gigabytes, ratio, report
from explorer.vlm.catalog import DEFAULT, Entry
from explorer.vlm.components import Vlm
from explorer.vlm.loader import ModelLoader, wrap

SIDE, PATCH, VOCABULARY = 336, 14, 32064
ROUNDS = 5
DEAREST = "zooprune"
QUESTION = "what is in the middle ?"
PICO = ROOT / "assets" / "pico"


def build() -> Vlm:
    """Give the model its random weights and pico's words."""
    words = AutoTokenizer.from_pretrained(PICO)
    size = {"height": SIDE, "width": SIDE}
    processor = LlavaProcessor(
        CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False),
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=(PICO / "chat_template.jinja").read_text(encoding="utf-8"),
    )
    config = LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_hidden_layers": 24,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": PATCH,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": VOCABULARY,
            "hidden_size": 512,
            "intermediate_size": 1376,
            "num_hidden_layers": 32,
            "num_attention_heads": 4,
            "max_position_embeddings": 4096,
        },
        image_token_index=words.convert_tokens_to_ids(processor.image_token),
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration._from_config(config, attn_implementation="sdpa")
    entry = Entry("large", "LLaVA-1.5-7B, an eighth as wide", max_new_tokens=1)
    return wrap(entry, model, processor, "llava")


@torch.no_grad()
def forward(vlm: Vlm, picture) -> None:
    """Look and pass the prompt through all layers, as transformers does."""
    grid = vlm.family.grid(vlm, *picture.size)
    chat = vlm.family.build_prompt(vlm, QUESTION, grid)
    pixels = vlm.family.preprocess(vlm, picture)
    vlm.model(input_ids=chat.input_ids, **pixels, use_cache=True, logits_to_keep=1)


@torch.no_grad()
def analyse(vlm: Vlm, picture, but: str = "") -> Case:
    """Look, pass all tokens through, and draw the map of every method before the LLM but one."""
    case = open_case(CaseRequest.make(vlm, picture, QUESTION))
    prompts = PromptCache(case)
    prefill(case.decoder, prompts(frozenset()))
    quick = [method for method in method_catalog.choices() if not method.slow]
    at_input = [method for method in quick if method.where == "before the LLM"]
    draw_all(case, prompts, [method for method in at_input if method.spec != but])
    return case


def _peak(work: str) -> float:
    """Run one of the two a few times; gives the process's peak, in GB."""
    vlm = build()
    return peak_gigabytes(
        lambda: [globals()[work](vlm, scenes.make(seed).image) for seed in range(3)]
    )


def _times() -> tuple[list[float], list[float], list[float]]:
    """Take turns; gives the seconds of forward, of analysis, and of analysis without DEAREST."""
    vlm, plain, ours, cheaper = build(), [], [], []
    works = (forward, plain), (analyse, ours), (partial(analyse, but=DEAREST), cheaper)
    for seed in range(ROUNDS + 1):
        picture = scenes.make(seed).image
        for work, seconds in works:
            began = time.perf_counter()
            work(vlm, picture)
            seconds.append(time.perf_counter() - began)
    return plain[1:], ours[1:], cheaper[1:]


def _switches() -> tuple[float, list[float], bool]:
    """Load it and pico, and switch to and fro; gives seconds of the load and of each switch."""
    loader = ModelLoader()
    with tempfile.TemporaryDirectory() as folder:
        vlm = build()
        vlm.model.save_pretrained(Path(folder) / "large")
        vlm.processor.save_pretrained(Path(folder) / "large")
        key = loader.catalog.register(str(Path(folder) / "large"))
        began = time.perf_counter()
        held = {key: loader.load(key), DEFAULT: loader.load(DEFAULT)}
        loaded, seconds, same = time.perf_counter() - began, [], True
        for _ in range(20):
            for name, thing in held.items():
                began = time.perf_counter()
                same &= loader.load(name) is thing
                seconds.append(time.perf_counter() - began)
    return loaded, seconds, same


def main() -> None:
    """Measure and print the rows."""
    plain, ours, cheaper = alone(_times)
    report("an eighth of LLaVA-1.5-7B: forward of the model itself", plain)
    report("  analysis by all input-level methods, forward included", ours)
    ratio("  analysis / forward", median_ratio(ours, plain), 1.6)
    less = median_ratio(cheaper, plain)
    ratio(f"  the same without {DEAREST}, which projects all tokens 64 times", less, 1.6)
    before, after = alone(_peak, "forward"), alone(_peak, "analyse")
    print(f"{'  peak memory of forward, of analysis':58} {before:.2f} GB, {after:.2f} GB")
    ratio("  peak memory of analysis / forward", after / before, 1.3)
    loaded, seconds, same = alone(_switches)
    report("  loading it and pico", [loaded])
    report(f"  switching between them{'' if same else ' LOADED AGAIN'}", seconds)
