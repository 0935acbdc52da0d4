"""The pictures of a report: what each stage of a run keeps, as SVG paths over the patches.

Knows stored runs and grids; not the page that they stand in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.analyses.sharing.case_fields import StoredRun, StoredStage
from explorer.media.grid import Grid


@dataclass(frozen=True)
class Figure:
    """The picture in one view behind one stage. view_box: the part of the picture that it shows;
    dropped, contour: SVG paths over the patches that are gone, and around those that are kept."""

    caption: str
    view_box: str
    dropped: str
    contour: str


def draw_stages(run: StoredRun, name: str, grid: Grid) -> list[Figure]:
    """Draw the picture once for every stage and view of a run; what is not kept is dark."""
    views = range(len(grid.views))
    return [_figure(stage, name, grid, view) for stage in run.stages for view in views]


def _figure(stage: StoredStage, name: str, grid: Grid, view: int) -> Figure:
    kept = np.zeros(grid.count, bool)
    kept[[token for token in stage.kept if token < grid.count]] = True
    here = (grid.place[:, 0] == view) & np.isfinite(grid.boxes).all(1)
    where = "before the LLM" if stage.layer == 0 else f"after layer {stage.layer}"
    merged = f", {stage.merged} merged tokens added" if stage.merged else ""
    caption = f"{name} · {len(stage.kept)} patches kept {where}{merged}"
    if len(grid.views) > 1:
        caption += f" · {grid.views[view].name}"
    x0, y0, x1, y1 = grid.views[view].box
    return Figure(
        caption,
        view_box=f"{x0:g} {y0:g} {x1 - x0:g} {y1 - y0:g}",
        dropped="".join(_rectangle(box) for box in grid.boxes[here & ~kept]),
        contour=_contour(grid, kept, view),
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
