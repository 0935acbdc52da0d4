"""Measure what README.md claims: `python -m explorer bench`.

Prints each number with its median, its 95th percentile and what it is compared with in the same
run. Machines differ and timings are noisy; ratios within one run say more than milliseconds.
`--page` adds the numbers that need a browser (see page.py); `--large` measures the shape of a 7B
model instead (large_model.py), `--analysis` an analysis against the model itself, `--inside` a
watched answer against a plain one, `--real` a model at its true size against plain transformers.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from explorer import analyses
from explorer.analyses.overview import draw_all
from explorer.analyses.sharing import case_file
from explorer.cases.answers import full_run
from explorer.cases.cache import ResultCache
from explorer.cases.case import PromptCache, open_case
from explorer.cases.request import CaseRequest
from explorer.inference.decode import decode
from explorer.inference.prefill import PruningPlan, prefill
from explorer.inference.sequence import Prompt
from explorer.methods import catalog
from explorer.methods.signals import Kept, Signals, Stage
from explorer.metrics import cost
from explorer.pico.data import scenes
from explorer.tools.bench.reporting import ratio, report, timed
from explorer.vlm import devices
from explorer.vlm.attention import register_attention
from explorer.vlm.components import Decoder
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import CPU_CORES, cpu_threads

QUESTION = "what is in the middle ?"
ROUNDS = 15
NINE = (
    "random", "uniform", "pool", "clsattn", "fopru", "fopru:row", "divprune", "visionzip",
    "fastv", "visiondrop",
)  # fmt: skip


def request_of(image: Image.Image) -> CaseRequest:
    """Ask the built-in model the question of all measurements about a picture."""
    return CaseRequest.make("pico", image, QUESTION)


def cases() -> None:
    """New cases and single answers on the built-in model."""
    analyses.analyse(request_of(scenes.make(0).image))
    analysed, answered = [], []
    for seed in range(1, ROUNDS + 1):
        cache, request = ResultCache(64_000_000), request_of(scenes.make(seed).image)
        analysed.append(timed(lambda r=request, c=cache: analyses.analyse(r, cache=c)))
        answered.append(
            timed(lambda r=request, c=cache: analyses.answer(r, "clsattn", 64, cache=c))
        )
    requests = [request_of(scenes.make(seed).image) for seed in range(1, ROUNDS + 1)]
    first = [timed(lambda r=request: nine(r)) for request in requests]
    compared = [timed(lambda r=request: analyses.compare(r, 64)) for request in requests]
    report("analyse: new picture and question, the first nine methods", first, 0.7)
    report("analyse: new picture and question, every method", analysed, 1.5)
    report("compare: new picture and question, every method, K = 64", compared, 3)
    report("answer: K = 64, one phrase, case known", answered, 0.08)


def nine(request: CaseRequest) -> None:
    """Look, answer from all tokens and draw the maps of the nine methods that came first."""
    cache, pico = ResultCache(64_000_000), default_loader().load("pico")
    with cpu_threads(pico.run_threads):
        case = open_case(request, cache)
        prompts = PromptCache(case, lambda: full_run(case, cache).tokens)
        full_run(case, cache)
        draw_all(case, prompts, [catalog.resolve(spec) for spec in NINE])


def sweeps() -> None:
    """Five methods and five draws of random over the whole ladder, on new pictures."""
    requests = [request_of(scenes.make(seed).image) for seed in range(5)]
    seconds = [timed(lambda r=request: analyses.sweep(r)) for request in requests]
    report("sweep: five methods and five draws, 12 budgets", seconds, 5)


def debugging() -> None:
    """Leave one out, and the search for what broke an answer."""
    request = request_of(scenes.make(2).image)
    kept = analyses.answer(request, "clsattn", 24).stages[-1].kept.tolist()
    oracles, first, searches = [], [], []
    for _ in range(3):
        began = time.perf_counter()
        steps = analyses.explain(request)
        next(step for step in steps if step.done)
        first.append(time.perf_counter() - began)
        list(steps)
        oracles.append(time.perf_counter() - began)
        searches.append(timed(lambda: list(analyses.find_restoring_patches(request, kept, True))))
    report("leave one out: first progress", first, 0.5)
    report("leave one out: 196 tokens, a short answer", oracles, 4)
    report("what broke it: one patch", searches, 10)


def replaying(cases: int = 128) -> None:
    """A folder of saved cases, one pruned answer each, by the command that people use."""
    with TemporaryDirectory() as folder:
        for seed in range(cases):
            cache, request = ResultCache(10**8), request_of(scenes.make(seed).image)
            full = analyses.answer(request, cache=cache)
            pruned = analyses.answer(request, "clsattn", 64, cache=cache)
            saved = case_file.save(request, full, [pruned])
            Path(folder, f"{seed}.json").write_text(saved, encoding="utf-8")
        line = [sys.executable, "-m", "explorer", "replay", folder]
        told = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"([\d.]+) cases a second", told)[1]
    print(f"{f'replay: {cases} cases':58} {rate} cases a second  goal 10", flush=True)


def picking() -> None:
    """Answers after a hand has taken patches away from a method's set, on known cases."""
    picks = []
    for seed in range(ROUNDS):
        cache, request = ResultCache(64_000_000), request_of(scenes.make(seed).image)
        kept = analyses.answer(request, "clsattn", 64, cache=cache).stages[-1].kept.tolist()
        pick = partial(analyses.answer_from_tokens, request, cache=cache)
        picks += [timed(partial(pick, kept[gone:])) for gone in (1, 2)]
    report("answer from picked patches", picks, 0.35)


@torch.no_grad()
def full_answer() -> None:
    """All tokens through our engine against the model's own generate, taken in turns."""
    image = scenes.make(3).image
    case = open_case(CaseRequest.make("pico", image, "describe the picture ."))
    chat = case.vlm.family.build_prompt(case.vlm, case.question, case.vision.grid)
    pixels = case.vlm.family.preprocess(case.vlm, image)
    ours, own = [], []

    def engine() -> None:
        fresh = open_case(CaseRequest.make("pico", image, case.question))
        list(decode(prefill(fresh.decoder, fresh.prompt()), 64))

    def generate() -> None:
        case.vlm.family.preprocess(case.vlm, image)
        case.vlm.model.generate(
            input_ids=chat.input_ids, **pixels, max_new_tokens=64, do_sample=False
        )

    with cpu_threads(case.vlm.run_threads):
        for _ in range(3):
            engine(), generate()
        for _ in range(ROUNDS):
            ours.append(timed(engine))
            own.append(timed(generate))
    report("full answer through our engine", ours)
    report("full answer through model.generate", own)
    ratio("  engine / generate", statistics.median(ours) / statistics.median(own), 1.1)


@torch.no_grad()
def pruned_prefill(threads: int, visual: int = 576, text: int = 40) -> None:
    """Prefill at K against full, beside the ratio of exact FLOPs, on a random Llama 1024 wide.

    And the same of its weights' products alone: what of a ratio is the machine's, not the engine's.
    """
    config = LlamaConfig(
        vocab_size=1000,
        hidden_size=1024,
        intermediate_size=2816,
        num_hidden_layers=8,
        num_attention_heads=16,
        num_key_value_heads=16,
        max_position_embeddings=1024,
    )
    model = LlamaForCausalLM._from_config(config, attn_implementation=register_attention()).eval()
    decoder, shape = Decoder(model.model, model.lm_head, frozenset()), cost.shape_of(config)
    total, where = visual + text, torch.arange(10, 10 + visual)
    is_text = torch.ones(total, dtype=torch.bool)
    is_text[where] = False
    embeds = torch.randn(1, total, 1024)
    place = torch.zeros(visual, 3, dtype=torch.long)
    prompt = Prompt(
        embeds, torch.arange(total)[None], where, is_text, Signals(place, embeds[0, where])
    )

    def first(_: Signals, stage: Stage) -> Kept:
        return Kept(torch.arange(stage.keep))

    budgets = (visual, 192, 128, 64)
    plans = {k: PruningPlan((Stage(0, k),), first, renumber=True) for k in budgets}
    seconds: dict[int, list[float]] = {k: [] for k in budgets}
    bare: dict[int, list[float]] = {k: [] for k in budgets}
    for _ in range(7):
        for k, plan in plans.items():
            with cpu_threads(threads):
                seconds[k].append(timed(lambda p=plan: prefill(decoder, prompt, p)))
                bare[k].append(timed(lambda k=k: weight_products(model.model.layers, k + text)))
    flops = {k: cost.prefill_flops(shape, [k + text] * 8) for k in budgets}
    for k in budgets:
        name = f"prefill, random Llama 8 x 1024, {k} of {visual}, {threads} threads"
        report(name, seconds[k])
    for k in budgets[1:]:
        measured = statistics.median(seconds[k]) / statistics.median(seconds[visual])
        exact = flops[k] / flops[visual]
        ratio(f"  time ratio {measured:.3f} / FLOPs ratio {exact:.3f}", measured / exact, 1.25)
        products = statistics.median(bare[k]) / statistics.median(bare[visual])
        ratio("  of the weights' products alone", products * total / (k + text))


@torch.no_grad()
def weight_products(layers: nn.ModuleList, tokens: int) -> None:
    """Multiply so many random tokens with every weight matrix, and do nothing else."""
    inputs: dict[int, torch.Tensor] = {}
    for linear in layers.modules():
        if isinstance(linear, nn.Linear):
            width = linear.in_features
            linear(inputs.setdefault(width, torch.randn(1, tokens, width)))


def resident(cases: int = 200) -> None:
    """Memory after many different cases."""
    import resource

    cache = ResultCache(256_000_000)
    for seed in range(cases):
        image = scenes.make(seed).image
        analyses.analyse(request_of(image), cache=cache)
        analyses.answer(request_of(image), "visionzip", 64, cache=cache)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{f'peak resident memory, {cases} cases':58} {gigabytes:.2f} GB  goal 1.60", flush=True)


def main() -> None:
    """Run the measurements."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--page", action="store_true", help="also measure the page in a browser")
    parser.add_argument("--cases", type=int, default=200, help="cases for the memory measurement")
    parser.add_argument(
        "--large", action="store_true", help="only the shape of a 7B model, an eighth as wide"
    )
    about = "only analyse against the model itself, on pico and on the shape of SmolVLM-256M"
    parser.add_argument("--analysis", action="store_true", help=about)
    about = "only a watched answer against a plain one, on the same two models"
    parser.add_argument("--inside", action="store_true", help=about)
    about = "only this model at its true size, random weights, against plain transformers"
    parser.add_argument("--real", nargs="?", const="smolvlm-256m", metavar="KEY", help=about)
    about = "precision of --real's weights"
    parser.add_argument("--dtype", choices=devices.DTYPES, default="auto", help=about)
    chosen = parser.parse_args()
    print(f"torch {torch.__version__}, {CPU_CORES} threads, {default_loader().device}")
    if chosen.large:
        from explorer.tools.bench import large_model

        large_model.main()
        return
    if chosen.analysis:
        from explorer.tools.bench import analysis_ratio

        analysis_ratio.main()
        return
    if chosen.inside:
        from explorer.tools.bench import inside_ratio

        inside_ratio.main()
        return
    if chosen.real:
        from explorer.tools.bench.real import measure

        measure.main(chosen.real, chosen.dtype)
        return
    cases()
    sweeps()
    debugging()
    picking()
    replaying()
    full_answer()
    for threads in sorted({1, CPU_CORES}):
        pruned_prefill(threads)
    resident(chosen.cases)
    if chosen.page:
        from explorer.tools.bench import page

        page.main()
