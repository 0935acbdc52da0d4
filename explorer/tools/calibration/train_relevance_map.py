"""Train the network of `relevance_map`: `python -m explorer relevance-map --model pico`.

Asks the model about scenes whose answers are known, keeps the questions that it answers correctly,
and lets the network learn from the question's first look at the picture what relevance, the oracle,
finds out from the whole answer (arXiv 2506.01097, "Lightweight mapping"). The same seed gives the
same weights on the same machine. Scenes: new ones, neither of training nor of any evaluation.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import kl_div

from explorer.cases.answers import full_run
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.methods.attention import relevance_net
from explorer.methods.attention.relevance import Relevance
from explorer.methods.attention.relevance_net import WIDTHS, RelevanceNet
from explorer.metrics import agreement, fidelity
from explorer.metrics.fidelity import agrees
from explorer.pico.data import scenes
from explorer.pico.data.questions import sample
from explorer.vlm.catalog import CUSTOM_HELP, DEFAULT
from explorer.vlm.components import Vlm
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import cpu_threads

FIRST_SEED = 3_000_000_000  # of the scenes to learn from
HELD_OUT = 3_500_000_000  # of those to judge by
QUESTIONS = 3  # per scene
LONGEST = 12  # tokens of an answer; each costs a pass, and lists would take most of the time
EPOCHS, BATCH, RATE = 100, 128, 1e-3
SMALL = (8, 16, 32, 64, 128)  # a quarter of the paper's widths: pico's network trains in minutes
NEEDS = frozenset({"question_attention", "explain"})


@dataclass(frozen=True)
class Samples:
    """What the network sees and shall say: attention and relevance [n, N] of n questions."""

    attention: Tensor
    relevance: Tensor


def collect(vlm: Vlm, seeds: Iterable[int], questions: int = QUESTIONS) -> Samples:
    """Put questions about scenes, and explain the answers that are right."""
    attention, found = [], []
    for seed in seeds:
        scene, cache = scenes.make(seed), ResultCache(64_000_000)
        for question in sample(scene, random.Random(f"mapping {seed}"), questions):
            with cpu_threads(vlm.run_threads):
                request = CaseRequest.make(vlm, scene.image, question.text)
                case = open_case(request, cache)
                full = full_run(case)
                if len(full.tokens) > LONGEST or not agrees(full.answer.text, question.answer):
                    continue
                signals = case.prompt(NEEDS, lambda tokens=full.tokens: tokens).signals
                attention.append(signals.question_attention.cpu())
                found.append(Relevance().score(signals).cpu())
    return Samples(torch.stack(attention), torch.stack(found))


def labels(found: Tensor) -> Tensor:
    """Set the lower half of each row of relevance [n, N] to zero and let the rest add up to 1."""
    order = found.argsort(dim=1, stable=True)
    kept = found.scatter(1, order[:, : found.shape[1] // 2], 0.0)
    return kept / kept.sum(1, keepdim=True).clamp(min=1e-12)


def fit(net: RelevanceNet, samples: Samples, epochs: int = EPOCHS, seed: int = 0) -> list[float]:
    """Train a network with KL(label || prediction); gives the mean loss of every epoch."""
    wanted = labels(samples.relevance)
    adam = torch.optim.Adam(net.parameters(), RATE)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(wanted), generator=generator).split(BATCH):
            said = net.logits(samples.attention[rows]).log_softmax(-1)
            loss = kl_div(said, wanted[rows], reduction="batchmean")
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += float(loss.detach()) * len(rows)
        losses.append(total / len(wanted))
    return losses


@dataclass(frozen=True)
class Quality:
    """How close a guess comes to the relevance: loss, rank correlation, shared top quarter."""

    loss: float
    spearman: float
    overlap: float


def judge(guess: Tensor, samples: Samples) -> Quality:
    """Compare a guess [n, N], rows of which add up to 1, with the relevance; means over rows."""
    pairs = list(zip(guess.numpy(), samples.relevance.numpy(), strict=True))
    k = max(1, guess.shape[1] // 4)

    def best(row: np.ndarray) -> list[int]:
        return np.argsort(-row, kind="stable")[:k].tolist()

    logs = guess.clamp(min=1e-12).log()
    return Quality(
        loss=float(kl_div(logs, labels(samples.relevance), reduction="batchmean")),
        spearman=float(np.nanmean([agreement.spearman(np.stack(pair))[0, 1] for pair in pairs])),
        overlap=float(np.mean([fidelity.overlap(best(a), best(b), k) for a, b in pairs])),
    )


def guesses(net: RelevanceNet, learned: Samples, held: Samples) -> dict[str, Tensor]:
    """Give the network's guess, and two that any network must beat; [n, N] each."""
    plain = held.attention / held.attention.sum(1, keepdim=True).clamp(min=1e-12)
    usual = labels(learned.relevance).mean(0)
    return {
        "network": net.logits(held.attention).softmax(-1),
        "attention alone": plain,
        "same for all": usual.expand_as(plain),
    }


def table(rows: dict[str, Quality]) -> str:
    """Write a Markdown table of guesses."""
    lines = ["| guess | KL | Spearman | shared top quarter |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {row.loss:.3f} | {row.spearman:.3f} | {row.overlap:.3f} |"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Train the network of `relevance_map` and tell how well it guesses on scenes held out."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", default=DEFAULT, help=CUSTOM_HELP)
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--held-out", type=int, default=60, help="scenes to judge by")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--widths", type=int, nargs="+", help="channels of the layers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--into", type=Path, help="default: assets/MODEL/relevance_map.safetensors")
    chosen = parser.parse_args()
    key = default_loader().catalog.register(chosen.model)
    vlm, began = default_loader().load(key), time.perf_counter()
    learned = collect(vlm, range(FIRST_SEED, FIRST_SEED + chosen.scenes))
    held = collect(vlm, range(HELD_OUT, HELD_OUT + chosen.held_out))
    seconds = time.perf_counter() - began
    print(f"{len(learned.relevance)} right answers to learn from, {len(held.relevance)} held out")
    torch.manual_seed(chosen.seed)
    net = RelevanceNet(chosen.widths or (SMALL if key == DEFAULT else WIDTHS))
    losses = fit(net, learned, chosen.epochs, chosen.seed)
    net.eval().requires_grad_(False)
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}, {seconds:.0f} s to collect, ", end="")
    print(f"{time.perf_counter() - began - seconds:.0f} s to train")
    print(table({name: judge(guess, held) for name, guess in guesses(net, learned, held).items()}))
    into = chosen.into or relevance_net.file_of(key)
    about = {"scenes": str(chosen.scenes), "epochs": str(chosen.epochs), "seed": str(chosen.seed)}
    relevance_net.save(net, into, about)
    print(f"{into}: {into.stat().st_size / 1000:.0f} kB")
