"""A case as one HTML page: what was asked, what was kept, what came out, and how to repeat it.

Self-contained: no script, nothing fetched (a policy in the page forbids both), one picture in it.
Every text is escaped, as a case may come from anybody. Knows cases and grids; runs no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from PIL import Image

from explorer.analyses.sharing.case_file import CaseFile, StoredRun, StoredStage
from explorer.errors import UnknownMethod
from explorer.media.grid import Grid
from explorer.media.image import picture_url
from explorer.methods import catalog
from explorer.methods.catalog import title

FIGURES = 8  # pictures in a report: of stages and views
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --line: #d4d4d8; --soft: #63636c; }
@media (prefers-color-scheme: dark) { :root { --line: #3f3f46; --soft: #a1a1aa; } }
body { font: 14px/1.45 "Source Sans Pro", system-ui, sans-serif; max-width: 960px;
  margin: 24px auto; padding: 0 16px; }
h1 { font-size: 20px; margin: 0 0 4px; } h2 { font-size: 14px; margin: 18px 0 6px; }
p { margin: 4px 0; } .soft, figcaption, th { color: var(--soft); font-weight: 400; }
.top { display: flex; flex-wrap: wrap; gap: 0 32px; } .top > * { flex: 1 1 320px; }
.figures { display: flex; flex-wrap: wrap; gap: 12px; }
figure { margin: 0; flex: 1 1 220px; max-width: 420px; }
figure svg { width: 100%; height: auto; border-radius: 8px; display: block; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 1px 0 1px 10px; vertical-align: top;
  overflow-wrap: break-word; }
th:first-child { text-align: left; padding-left: 0; }
tbody tr { border-top: 1px solid var(--line); }
@media (min-width: 700px) { .two { display: grid; grid-template-columns: 1fr 1fr; gap: 0 32px; } }
@media print { body { margin: 0; } }
"""


def page(case: CaseFile, grid: Grid, image: Image.Image) -> str:
    """Write the report of a case. grid: where its visual tokens lie; image: its opened picture."""
    figures = [figure for run in case.runs for figure in _figures(run, grid, image)]
    body = [
        f"<h1>{escape(case.question)}</h1>",
        f"<p class=soft>{escape(_facts(case))}</p>",
        '<div class="top"><div class="figures">',
        *figures[:FIGURES],
        "</div><div><h2>Answers</h2>",
        _answers(case),
        "</div></div>",
        '<div class="two"><div><h2>Measured</h2>',
        _measures(case),
        "</div><div><h2>Layer by layer</h2>",
        _layers(case),
        "</div></div>",
        "<h2>To repeat this</h2>",
        _circumstances(case),
    ]
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(case.question)}</title><style>{STYLE}</style>"
    )
    return head + "\n".join(body) + "</html>\n"


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


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table; the first cell of a row names it."""
    top = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    lines = [
        f'<tr><th scope="row">{escape(_said(first))}</th>'
        + "".join(f"<td>{escape(_said(value))}</td>" for value in rest)
        + "</tr>"
        for first, *rest in rows
    ]
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _said(value: object) -> str:
    if value is None:
        return "·"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 1_000 else f"{value:.0f}"


def _runs(case: CaseFile) -> list[tuple[str, StoredRun]]:
    pruned = [(f"{name_of(run.method)}, {run.budget} tokens", run) for run in case.runs]
    return [(f"all {case.full.budget} tokens", case.full), *pruned]


def _answers(case: CaseFile) -> str:
    def words(run: StoredRun) -> str:
        return " · ".join(f"{t.text.strip() or '␣'} {t.probability:.2f}" for t in run.tokens)

    rows = [(name, run.text or "(nothing)", words(run)) for name, run in _runs(case)]
    return _table(("from", "answer", "its tokens, with probabilities"), rows)


def _measures(case: CaseFile) -> str:
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
    heads = ["", "full", *(f"{run.method} {run.budget}" for run in case.runs)]
    return _table(heads, [(name, *values) for name, values in lines.items()])


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None


def _layers(case: CaseFile) -> str:
    """Tell, layer by layer, what entered it, and MDI and AEI; of the full and the first run."""
    runs = [case.full, *case.runs[:1]]
    columns = [column for run in runs for column in (run.layers, run.mdi, run.aei)]
    heads = ["layer", *(f"{what} {kind}" for kind in ("full", "kept") for what in _COLUMNS)]
    rows = [
        (number + 1, *(column[number] if number < len(column) else None for column in columns))
        for number in range(max(map(len, columns)))
    ]
    return _table(heads[: 1 + len(columns)], rows)


_COLUMNS = ("tokens", "MDI", "AEI")


def _circumstances(case: CaseFile) -> str:
    model = case.model
    rows = [("model", f"{model.key}: {model.source} {model.revision or ''}")]
    for run in case.runs:
        module = _checked_against(run.method)
        rows.append(("method and options", f"{run.method} at {run.budget} tokens{module}"))
    if case.seed is not None:
        rows.append(("seed of the scene", case.seed))
    rows.append(("picture", f"{case.picture.width} x {case.picture.height}, {case.picture.digest}"))
    rows.append(("versions", " · ".join(map(" ".join, case.packages.items()))))
    repeat = (
        "Save the case in the page; <code>python -m explorer replay case.json</code> repeats it."
    )
    return _table(("", ""), rows) + f"<p class=soft>{repeat}</p>"


def _checked_against(spec: str) -> str:
    try:
        method, _ = catalog.resolve(spec)
    except UnknownMethod:
        return ""
    if not method.REPOSITORY:
        return ""
    return f" (checked against {method.REPOSITORY} at {method.COMMIT})"


def _figures(run: StoredRun, grid: Grid, image: Image.Image) -> list[str]:
    """Draw the picture once for every stage and view; what is not kept is dark."""
    src = picture_url(image)
    return [
        _figure(src, run, stage, grid, view)
        for stage in run.stages
        for view in range(len(grid.views))
    ]


def _figure(src: str, run: StoredRun, stage: StoredStage, grid: Grid, view: int) -> str:
    kept = np.zeros(grid.count, bool)
    kept[[token for token in stage.kept if token < grid.count]] = True
    here = (grid.place[:, 0] == view) & np.isfinite(grid.boxes).all(1)
    gone = "".join(_rectangle(box) for box in grid.boxes[here & ~kept])
    where = "before the LLM" if stage.layer == 0 else f"after layer {stage.layer}"
    merged = f", {stage.merged} merged tokens added" if stage.merged else ""
    says = f"{name_of(run.method)} · {len(stage.kept)} patches kept {where}{merged}"
    if len(grid.views) > 1:
        says += f" · {grid.views[view].name}"
    x0, y0, x1, y1 = grid.views[view].box
    width, height = grid.width, grid.height
    return (
        f'<figure><svg viewBox="{x0:g} {y0:g} {x1 - x0:g} {y1 - y0:g}" role="img" '
        f'aria-label="{escape(says)}">'
        f'<image href="{src}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
        f'<path d="{gone}" fill="#09090b" fill-opacity=".77"/>'
        f'<path d="{_contour(grid, kept, view)}" fill="none" stroke="#facc15" stroke-width="2" '
        f'vector-effect="non-scaling-stroke"/></svg><figcaption>{escape(says)}</figcaption></figure>'
    )


def _rectangle(box: np.ndarray) -> str:
    x0, y0, x1, y1 = box
    return f"M{x0:.1f} {y0:.1f}H{x1:.1f}V{y1:.1f}H{x0:.1f}z"


def _contour(grid: Grid, kept: np.ndarray, view: int) -> str:
    """Draw the edges between what is kept and what is not."""
    shape = (grid.views[view].rows + 2, grid.views[view].columns + 2)
    inside, boxes = np.zeros(shape, bool), {}
    for token in np.flatnonzero(kept & (grid.place[:, 0] == view)):
        _, row, column = grid.place[token]
        inside[row + 1, column + 1] = True
        boxes[row + 1, column + 1] = grid.boxes[token]
    edges = []
    for (row, column), (x0, y0, x1, y1) in boxes.items():
        lines = {
            (row - 1, column): (x0, y0, x1, y0),
            (row + 1, column): (x0, y1, x1, y1),
            (row, column - 1): (x0, y0, x0, y1),
            (row, column + 1): (x1, y0, x1, y1),
        }
        edges += [line for beside, line in lines.items() if not inside[beside]]
    return "".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for a, b, c, d in edges)
