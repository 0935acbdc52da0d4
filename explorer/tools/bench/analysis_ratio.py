"""Measure an analysis against the model's own answer: `python -m explorer bench --analysis`.

How long scores by every method that is not slow take (`score_all`), and whole maps of what they
keep at every budget (`analyse`), both with the answer, over tower, prefill and answer of the same
untouched model by transformers' `generate`, in turns and in the same precision: on pico, and
on the shape of SmolVLM-256M at full size (13 views, 832 visual tokens) with random weights.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
)

from explorer import ROOT, analyses
from explorer.cases.records import Analysis
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.tools.bench.reporting import ratio, report, timed
from explorer.vlm.catalog import Entry
from explorer.vlm.components import Vlm
from explorer.vlm.loader import default_loader, wrap
from explorer.vlm.threads import cpu_threads

QUESTION = "what is in the middle ?"
GOAL = 1.5
OWN = "tower, prefill and answer by the model itself"
WORKS: dict[str, Callable[[CaseRequest], Analysis]] = {
    "the answer, and scores by every method that is not slow": analyses.score_all,
    "the same, and what they keep at every budget": analyses.analyse,
}
SIDE, PATCH, SHUFFLE, TILES = 512, 16, 4, 4
ANSWER = 10  # tokens; random weights would never end
MARKS = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
MARKS += [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
TEMPLATE = (
    "{% for m in messages %}User: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endfor %} Assistant:"
)


def smolvlm(small: bool = False) -> Vlm:
    """Give SmolVLM-256M with random weights and pico's words. small: few of its layers."""
    words = AutoTokenizer.from_pretrained(ROOT / "assets" / "pico")
    words.add_tokens(MARKS, special_tokens=True)
    looks = Idefics3ImageProcessor(
        size={"longest_edge": TILES * SIDE}, max_image_size={"longest_edge": SIDE}
    )
    tokens = (SIDE // PATCH // SHUFFLE) ** 2
    processor = Idefics3Processor(looks, words, image_seq_len=tokens, chat_template=TEMPLATE)
    config = Idefics3Config(
        vision_config={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 2 if small else 12,
            "num_attention_heads": 12,
            "image_size": SIDE,
            "patch_size": PATCH,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": 49280,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 6 if small else 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "max_position_embeddings": 8192,
        },
        image_token_id=words.convert_tokens_to_ids(MARKS[0]),
        scale_factor=SHUFFLE,
    )
    torch.manual_seed(0)
    model = Idefics3ForConditionalGeneration._from_config(config, attn_implementation="sdpa")
    entry = Entry("smolvlm-shape", "SmolVLM-256M, random weights", max_new_tokens=ANSWER)
    return wrap(entry, model, processor, "idefics3")


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
            taken.append(timed(lambda e=each, i=image: work(e, i)))
    medians = {each: statistics.median(taken[int(warm) :]) for each, taken in seconds.items()}
    for each, taken in seconds.items():
        report(f"{name}: {each}", taken[int(warm) :])
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
