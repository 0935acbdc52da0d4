"""A case as one HTML page: what was asked, what was kept, what came out, and how to repeat it.

Self-contained: no script, nothing fetched (a policy in the page forbids both), one picture in it.
The template beside this file escapes every text, as a case may come from anybody. Knows cases and
grids; runs no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from explorer.analyses.inside.layer_keys import KINDS
from explorer.analyses.sharing.case_fields import (
    CaseFile,
    StoredInside,
    StoredProbe,
    StoredRun,
)
from explorer.analyses.sharing.figures import draw_stages
from explorer.cases.records import Token, words_of
from explorer.errors import UnknownMethod
from explorer.media.grid import Grid
from explorer.media.image import picture_url
from explorer.methods import catalog
from explorer.methods.catalog import title

Row = tuple[object, ...]  # cells of a table; the first one names it
FIGURES = 8  # pictures in a report: of stages and views
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(case: CaseFile, grid: Grid, image: Image.Image) -> str:
    """Write the report of a case. grid: where its visual tokens lie; image: its opened picture."""
    figures = [each for run in case.runs for each in draw_stages(run, name_of(run.method), grid)]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            policy=POLICY,
            case=case,
            facts=_facts(case),
            diagnosis=_diagnosis(case),
            words=_word_losses(case),
            figures=figures[:FIGURES],
            src=picture_url(image),
            width=grid.width,
            height=grid.height,
            answers=_answers(case),
            word_heads=[
                "word of the full answer",
                *(f"{name_of(r.method)}, {r.budget}" for r in case.runs),
            ],
            measure_heads=[
                "",
                "full",
                *(f"{name_of(run.method)}, {run.budget}" for run in case.runs),
            ],
            measures=_measures(case),
            layer_heads=_layer_heads(case),
            layers=_layers(case),
            inside_heads=_inside_heads(case),
            inside=_inside(case),
            stands=_stands(case),
            probe_heads=_probe_heads(case),
            probes=_probes(case),
            captions=_captions(case),
            firmness=_firmness(case),
            circumstances=_circumstances(case),
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    """Templates of this folder; whatever they are given is escaped."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    made.filters["number"] = _number
    return made


def name_of(spec: str) -> str:
    """Name a method, or give its key as it stands where nobody here knows it."""
    try:
        return title(spec)
    except UnknownMethod:
        return spec


def _facts(case: CaseFile) -> str:
    truth = [] if case.truth is None else [f"right answer: {case.truth}"]
    scene = [] if case.seed is None else [f"scene {case.seed}"]
    return " · ".join([case.model.key, *scene, *truth])


def _number(value: object) -> str:
    """Write a number with three digits, a dot for none, and anything else as it stands."""
    if value is None:
        return "·"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 1_000 else f"{value:.0f}"


def _runs(case: CaseFile) -> list[tuple[str, StoredRun]]:
    pruned = [(f"{name_of(run.method)}, {run.budget} tokens", run) for run in case.runs]
    return [(f"all {case.full.budget} tokens", case.full), *pruned]


def _answers(case: CaseFile) -> list[Row]:
    def words(run: StoredRun) -> str:
        return " · ".join(f"{t.text.strip() or '␣'} {t.probability:.2f}" for t in run.tokens)

    return [(name, run.text or "(nothing)", words(run)) for name, run in _runs(case)]


def _diagnosis(case: CaseFile) -> list[Row]:
    """List what each step of a diagnosis has asked and found; no row where nobody has asked."""
    steps = case.diagnosis.steps if case.diagnosis else []
    return [(step.question, step.says, step.finding) for step in steps]


def _word_losses(case: CaseFile) -> list[Row]:
    """List what each word of the full answer loses in each run, nats."""
    runs = [run for run in case.runs if len(run.losses) >= len(case.full.tokens)]
    words = words_of(tuple(Token(each.text, each.probability) for each in case.full.tokens))
    return [
        (text, *(sum(run.losses[first:behind]) for run in runs)) for text, first, behind in words
    ] * bool(runs)


def _measures(case: CaseFile) -> list[Row]:
    runs = [run for _, run in _runs(case)]
    lines = {
        "probability of the full answer": [run.p_full for run in runs],
        "KL of the first token, nats": [run.kl for run in runs],
        "full answer loses, nats per token": [run.drop for run in runs],
        "tokens, mean over layers": [_mean(run.layers) for run in runs],
        "tokens at the last layer": [run.layers[-1] if run.layers else None for run in runs],
        "prefill, MFLOPs": [run.flops / 1e6 for run in runs],
        "KV cache, KB": [run.kv_bytes / 1e3 for run in runs],
    }
    return [(name, *values) for name, values in lines.items()]


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None


def _layer_heads(case: CaseFile) -> list[str]:
    kinds = ("full", "kept")[: 1 + len(case.runs)]
    return ["layer", *(f"{what} {kind}" for kind in kinds for what in ("tokens", "MDI", "AEI"))]


def _layers(case: CaseFile) -> list[Row]:
    """Tell, layer by layer, what entered it, and MDI and AEI; of the full and the first run."""
    runs = [case.full, *case.runs[:1]]
    columns = [column for run in runs for column in (run.layers, run.mdi, run.aei)]
    return [(number + 1, *row) for number, row in enumerate(zip_longest(*columns))]


def _insides(case: CaseFile) -> list[tuple[str, StoredInside]]:
    """Give the runs that somebody has looked into."""
    return [(name, run.inside) for name, run in _runs(case) if run.inside]


def _inside_heads(case: CaseFile) -> list[str]:
    kinds = [f"{kind}, %" for kind in KINDS]
    columns = [f"{what} · {name}" for name, _ in _insides(case) for what in ("says", *kinds)]
    return ["layer", *columns, *(["without picture from here"] * bool(case.removal))]


def _inside(case: CaseFile) -> list[Row]:
    """Tell, layer by layer, what would be said behind it and where attention went."""
    columns: list[list[object]] = []
    for _, inside in _insides(case):
        columns.append(list(inside.says))
        shares = [[round(100 * share) for share in layer] for layer in inside.shares]
        columns += map(list, zip(*shares, strict=True))
    if case.removal:
        gone = {each.layer: f"{each.text} ({each.p_full:.2f})" for each in case.removal}
        columns.append([gone.get(layer) for layer in range(max(gone) + 1)])
    return [(number + 1, *row) for number, row in enumerate(zip_longest(*columns))]


def _stands(case: CaseFile) -> str:
    return "; ".join(
        f"the answer from {name} stands from behind layer {inside.stands_from + 1} on"
        for name, inside in _insides(case)
    )


def _probe_columns(case: CaseFile) -> list[tuple[str, int]]:
    return list(dict.fromkeys((probe.method, probe.budget) for probe in case.probes))


def _probe_heads(case: CaseFile) -> list[str]:
    runs = [f"{name_of(spec)} {budget}" for spec, budget in _probe_columns(case)]
    return ["is there …?", "", *runs]


def _probes(case: CaseFile) -> list[Row]:
    """Tell what each run said about each thing, and whether that is right."""
    said = {(probe.thing, probe.method, probe.budget): _said(probe) for probe in case.probes}
    there = {probe.thing: probe.there for probe in case.probes}
    return [
        (
            thing,
            "there" if is_there else "not there",
            *(said.get((thing, *column)) for column in _probe_columns(case)),
        )
        for thing, is_there in there.items()
    ]


def _said(probe: StoredProbe) -> str:
    sign = "✓" if probe.says_yes == probe.there else "✗"
    return f"{sign} {probe.text}" + ("" if probe.yes is None else f" ({probe.yes:.2f})")


def _captions(case: CaseFile) -> list[Row]:
    """Tell how each run described the picture, and what of that is not there."""
    return [
        (
            f"{name_of(each.method)} {each.budget}",
            each.text,
            ", ".join(each.hallucinated),
            f"{each.chair_i:.2f}",
            f"{each.recall:.2f}",
        )
        for each in case.captions
    ]


def _firmness(case: CaseFile) -> str:
    """Tell how firmly the answer stands, in a sentence; empty if nobody has asked."""
    found = case.stability
    if found is None:
        return ""
    needs = "none gives it" if found.k_star is None else f"K* = {found.k_star}"
    kept = round(found.subsets_keep * found.subsets)
    return (
        f"{name_of(found.method)} over ten budgets: {needs}, the full answer comes or goes "
        f"{found.flips} times; {kept} of {found.subsets} random choices of {found.budget} tokens "
        "keep it."
    )


def _circumstances(case: CaseFile) -> list[Row]:
    model = case.model
    rows: list[Row] = [("model", f"{model.key}: {model.source} {model.revision or ''}")]
    for run in case.runs:
        checked = _checked_against(run.method)
        rows.append(("method and options", f"{run.method} at {run.budget} tokens{checked}"))
    if case.seed is not None:
        rows.append(("seed of the scene", case.seed))
    rows.append(("picture", f"{case.picture.width} x {case.picture.height}, {case.picture.digest}"))
    rows.append(("versions", " · ".join(map(" ".join, case.packages.items()))))
    return rows


def _checked_against(spec: str) -> str:
    try:
        card = catalog.resolve(spec).card
    except UnknownMethod:
        return ""
    if not card.repository:
        return ""
    return f" (checked against {card.repository} at {card.commit})"
