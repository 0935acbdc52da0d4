"""Does pruning make pico see what is not there? Probes and captions over the built-in scenes.

`python -m explorer effects --method visionzip --budget 49 --scenes 200` asks "is there a ...?"
about up to three things of every scene and as many that are not on it by each of POPE's strategies,
and lets every scene be described: by the full model, by the method, and by random with the same
rule for positions at the same cost. It prints a table with intervals and McNemar's test, both
counts (fixed and broken), and writes assets/effects, which the tab "Effects" shows. Answers are
written down as they come: run again, it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from explorer.analyses.effects import things
from explorer.analyses.effects.captions import QUESTION
from explorer.analyses.effects.things import FOLDER, SCENES, AskedThing, asked_of_scene, lexicon
from explorer.cases.answers import answer
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import prepare
from explorer.errors import UnknownMethod
from explorer.media.image import open_picture
from explorer.methods import catalog, chance
from explorer.metrics.effects import pope
from explorer.metrics.effects.chair import Captioned
from explorer.metrics.effects.pope import Corpus
from explorer.metrics.effects.table import (
    CaptionRecord,
    ProbeRecord,
    examples,
    summary,
    to_frame,
)
from explorer.pico.data import scenes
from explorer.tools import distributed
from explorer.tools.distributed import Team, progress
from explorer.tools.distributed.log import append
from explorer.tools.distributed.models import share_cores
from explorer.tools.distributed.weights import weights_digest
from explorer.tools.effects import scene_log
from explorer.tools.effects.scene_log import MeasuredScene
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import cpu_threads

FIRST_SEED = 2_000_000_000  # the scenes of the leaderboard: neither training nor evaluation
CORPUS = 200  # scenes from which popular and adversarial things are taken
CACHE_BYTES = 64_000_000


def write_corpus(file: Path = SCENES) -> None:
    """Write down what is on the built-in scenes, if that is not done yet."""
    if file.is_file():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    seeds = range(FIRST_SEED, FIRST_SEED + CORPUS)
    lines = [json.dumps(things.names_in(scenes.make(seed))) for seed in seeds]
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def asked_about(scene: scenes.Scene, corpus: Corpus) -> list[tuple[AskedThing, str]]:
    """List what is asked about a scene, each thing once, with all strategies that chose it."""
    found: dict[str, tuple[AskedThing, list[str]]] = {}
    for strategy in pope.STRATEGIES:
        for thing in asked_of_scene(scene, strategy, corpus=corpus):
            found.setdefault(thing.name, (thing, []))[1].append(thing.why)
    return [(thing, "+".join(dict.fromkeys(whys))) for thing, whys in found.values()]


def evaluate(seed: int, method: str, budget: int) -> MeasuredScene:
    """Ask about one scene with all tokens, from those of the method, and from random ones."""
    scene, results = scenes.make(seed), ResultCache(CACHE_BYTES)
    rows = {FULL: FULL, method: method}
    random = chance.chance_of(method)
    draws = chance.draws_of(random)
    rows[random] = rows.get(random, draws[seed % len(draws)])
    asked = asked_about(scene, things.built_in_corpus())
    picture = open_picture(scene.image)
    specs = [(spec, budget) for spec in rows.values() if spec != FULL]
    with cpu_threads(default_loader().load("pico").run_threads):
        describe = CaseRequest.make("pico", picture, QUESTION)
        requests = [replace(describe, question=thing.question) for thing, _ in asked]
        prepare([(request, specs) for request in (*requests, describe)], results)
        probes = [
            _probe(seed, thing, why, row, answer(request, spec, budget, cache=results))
            for request, (thing, why) in zip(requests, asked, strict=True)
            for row, spec in rows.items()
        ]
        captions = [
            _caption(seed, row, scene, answer(describe, spec, budget, cache=results))
            for row, spec in rows.items()
        ]
    return MeasuredScene(seed, weights_digest(), tuple(probes), tuple(captions))


def _probe(seed: int, thing: AskedThing, why: str, row: str, given) -> ProbeRecord:
    p_yes, p_no = given.yes_no or (math.nan, math.nan)
    return ProbeRecord(seed, thing.name, thing.there, why, row, given.text, p_yes, p_no)


def _caption(seed: int, row: str, scene: scenes.Scene, given) -> CaptionRecord:
    read = Captioned.of(given.text, things.names_in(scene), lexicon())
    return CaptionRecord(
        seed,
        row,
        mentions=len(read.mentions),
        hallucinated=len(read.hallucinated),
        named=len(read.named),
        there=len(read.there),
        length=len(given.tokens),
    )


def fill(
    log: Path, seeds: Sequence[int], method: str, budget: int, team: Team
) -> list[MeasuredScene]:
    """Measure what the log doesn't have, say how far it is, and give all scenes asked for."""
    known = {scene.seed: scene for scene in scene_log.read(log, weights_digest())}
    missing = [seed for seed in seeds if seed not in known]
    results = team.results(partial(evaluate, method=method, budget=budget), missing)
    for _, scene in progress.told(results, len(missing), "scenes"):
        append(log, scene)
        known[scene.seed] = scene
    return [known[seed] for seed in seeds]


def result(measured: Sequence[MeasuredScene], method: str, budget: int) -> dict:
    """Sum up what was measured, for the page: rows, examples of both kinds, and where from."""
    random = chance.chance_of(method)
    frame = to_frame([probe for scene in measured for probe in scene.probes])
    captions = [caption for scene in measured for caption in scene.captions]
    rows = summary(frame, captions, method, random)
    titles = {FULL: "All tokens", random: chance.title_of(random)}
    for row in rows:
        row["title"] = titles.get(row["row"]) or catalog.title(row["row"])
    return {
        "method": method,
        "title": catalog.title(method),
        "budget": budget,
        "scenes": len(measured),
        "weights": weights_digest(),
        "rows": rows,
        "examples": examples(frame, method),
    }


def lines_of(told: dict) -> list[str]:
    """Write the table for a terminal."""
    found = [
        f"{told['title']} at {told['budget']} of 196 tokens, {told['scenes']} scenes, "
        f"weights {told['weights']}",
        f"{'':30} {'right':>6} {'95 %':>16} {'F1':>6} {'yes':>5} {'halluc.':>7} {'lost':>5} "
        f"{'fixed':>5} {'broken':>6} {'p':>8} {'ECE':>6} {'Brier':>6}",
    ]
    for row in told["rows"]:
        low, high = row["interval"]
        paired = f"{row['fixed']:5} {row['broken']:6} {row['p']:8.2g}" if "p" in row else " " * 21
        sure = "" if row["ece"] is None else f" {row['ece']:6.3f} {row['brier']:6.3f}"
        found.append(
            f"{row['title'][:30]:30} {row['accuracy']:6.3f} [{low:6.3f}, {high:6.3f}] "
            f"{row['f1']:6.3f} {row['yes_ratio']:5.2f} {row['hallucinated']:7} {row['lost']:5} "
            f"{paired}{sure}"
        )
    for row in told["rows"]:
        parts = [
            f"{name} {found_['value']:.3f} [{found_['low']:.3f}, {found_['high']:.3f}]"
            for name, found_ in row["captions"].items()
            if isinstance(found_, dict)
        ]
        found.append(f"{row['title'][:30]:30} captions: {', '.join(parts)}")
        if "p_random" in row:
            found.append(
                f"  against its random: {row['better']} better, {row['worse']} worse, "
                f"p {row['p_random']:.2g}"
            )
    shown = {kind: len(each) for kind, each in told["examples"].items()}
    return [*found, f"examples to look at: {shown['fixed']} fixed, {shown['broken']} broken"]


def name_of(method: str, budget: int) -> str:
    """Name the files of a method at a budget."""
    safe = "".join(letter if letter.isalnum() else "-" for letter in method)
    return f"{safe}-{budget}"


def main() -> int | None:
    """Ask about scenes what has not been asked yet, print the table, write it for the page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--method", default="clsattn", help="key, with options")
    parser.add_argument("--budget", type=int, default=49, help="mean visual tokens, of 196")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--log", type=Path, help="answers so far; default: beside the table")
    chosen = parser.parse_args()
    try:
        chosen.method = catalog.canonical(chosen.method)
        catalog.resolve(chosen.method)
    except UnknownMethod as error:
        parser.error(str(error))
    return distributed.run(partial(lead, chosen), share_cores, chosen.workers)


def lead(chosen: argparse.Namespace, team: Team) -> None:
    """Do what the command line asks for, with a team."""
    chosen.out.mkdir(parents=True, exist_ok=True)
    write_corpus()
    name = name_of(chosen.method, chosen.budget)
    log = chosen.log or chosen.out / f"{name}.jsonl"
    seeds = range(FIRST_SEED, FIRST_SEED + chosen.scenes)
    measured = fill(log, seeds, chosen.method, chosen.budget, team)
    told = result(measured, chosen.method, chosen.budget)
    text = json.dumps(told, indent=1)
    (chosen.out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print("\n".join(lines_of(told)))
