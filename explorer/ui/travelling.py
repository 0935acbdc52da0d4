"""Cases that leave the page and come back: saved as a file, opened from one and recomputed.

Wiring only. The browser reads and writes the files, so that none is left on the server; what a file
may hold is up to casefile.py, and what has changed since up to replay.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import gradio as gr

from explorer import casefile, jobs, methods, replay, report, zoo
from explorer.casefile import CaseFile, StoredRun
from explorer.errors import VisitorError
from explorer.memory import Memory
from explorer.payload import rounded
from explorer.pico import questions
from explorer.picture import Picture
from explorer.ui import parts
from explorer.ui.desk import Desk, Visit
from explorer.ui.opening import Opening, chosen, scene_visit

if TYPE_CHECKING:
    from explorer.ui.explore import Explore

RECOMPUTED = {True: 24, False: 4}  # answers of a file; few where a model takes its time
TYPES = {"json": "application/json", "html": "text/html"}


@dataclass(frozen=True)
class Travel:
    """The blocks of a case's own column.

    wish: what to save; file: one that the visitor opens; link: by which the visitor came.
    """

    stored: gr.HTML
    notes: gr.HTML
    wish: gr.HTML
    file: gr.HTML
    link: gr.HTML
    parcel: gr.HTML


def build() -> Travel:
    """Lay out the buttons, and the place where stored and recomputed values are shown."""
    gr.HTML("<h2>This case</h2>", apply_default_css=False)
    parts.block(
        '<div class="vt-travel"></div>',
        "explorer.mountTravel(element, props)",
        {"most": casefile.MAX_BYTES},
        elem_id="vt-travel-buttons",
    )
    return Travel(
        notes=parts.notes("vt-travel-notes"),
        stored=parts.block(
            '<div class="vt-stored" hidden></div>',
            "explorer.mountStored(element, props, watch)",
            elem_id="vt-stored",
        ),
        wish=parts.sender("mountWish", "save"),
        file=parts.sender("mountFile", "open"),
        link=parts.sender("mountLink", "restore"),
        parcel=parts.receiver("mountParcel"),
    )


def wire(tab: Explore, opening: Opening, desk: Desk, on_model: dict) -> None:
    """Connect saving and opening. opening: the ways in which another case gets on the page."""
    travel = tab.travel

    def save(wish: dict, visit: Visit) -> dict:
        if not isinstance(wish, dict) or wish.get("case") != visit.id:
            return {}
        try:
            text = _saved(visit, wish, desk.memory)
            kind, name = "json", f"case-{visit.id}.json"
            if wish.get("kind") == "report":
                kind, name, text = "html", f"report-{visit.id}.html", _report(visit, text, desk)
        except VisitorError as error:
            return {travel.notes: parts.lines("error", str(error))}
        parcel = {"name": name, "type": TYPES[kind], "text": text}
        return {travel.parcel: parcel, travel.notes: parts.lines("note", f"Saved as {name}.")}

    def open_(file: dict) -> Iterator[dict]:
        text = file.get("text") if isinstance(file, dict) else None
        if isinstance(text, str):
            yield {travel.notes: parts.lines("busy", "Opening the case …")}
            yield from _opened(text, travel, opening, desk.memory)

    def restore(asked: dict) -> Iterator[dict]:
        query = asked.get("query") if isinstance(asked, dict) else None
        if isinstance(query, str):
            yield from opening.link(query)

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    travel.link.restore(restore, [travel.link], opening.outputs(), **quiet, **on_model)
    travel.wish.save(
        save, [travel.wish, tab.visit], [travel.parcel, travel.notes], **quiet, **on_model
    )
    outputs = [*opening.outputs(), travel.stored, travel.notes]
    travel.file.open(open_, [travel.file], outputs, **quiet, **on_model)


def _saved(visit: Visit, wish: dict, memory: Memory) -> str:
    """Write down the case with the answer for the method and budget on the page."""
    case = (visit.model, visit.picture, visit.question)
    run = jobs.answer(*case, str(wish.get("method")), wish.get("budget"), memory)
    full = jobs.answer(*case, jobs.FULL, 1, memory)
    return casefile.save(*case, full, [run], visit.truth, visit.seed)


def _report(visit: Visit, saved: str, desk: Desk) -> str:
    found = jobs.analyse(visit.model, visit.picture, visit.question, desk.memory)
    return report.page(casefile.load(saved), found.grid, visit.picture.image)


def _opened(text: str, travel: Travel, opening: Opening, memory: Memory) -> Iterator[dict]:
    """Show a stranger's case with its answers recomputed; all at once, as a page may miss a reply
    that another one follows within a frame."""
    try:
        case = casefile.load(text)
        picture, entry = case.opened(), zoo.entry(case.model.key)
    except VisitorError as error:
        yield {travel.notes: parts.lines("error", str(error))}
        return
    visit = _visit(case, picture)

    def recomputed() -> dict:
        found = list(islice(replay.replay(case, picture, memory), RECOMPUTED[entry.live]))
        said = [replay.verdict(found), *_circumstances(case, entry, len(found))]
        return {
            travel.stored: {"case": visit.id, "rows": [_row(each) for each in found]},
            travel.notes: parts.lines("note", *said),
            opening.tab.thumbs: chosen(),
        }

    yield from opening.case(visit, travel.notes, _shown(case), recomputed)


def _visit(case: CaseFile, picture: Picture) -> Visit:
    """Make the visit of an opened case; a scene that can be drawn again is believed no file."""
    model, question = case.model.key, " ".join(case.question.split())
    if case.seed is not None:
        scene = scene_visit(model, case.seed, question)
        if scene.picture.digest == picture.digest:
            return scene
    truths = {questions.normalise(question): case.truth} if case.truth else None
    return Visit(model, picture, question, truths, tuple(questions.GENERAL_QUESTIONS))


def _shown(case: CaseFile) -> dict | None:
    """Name the method and budget that the page should show: those of the first stored run."""
    if not case.runs:
        return None
    run = case.runs[0]
    try:
        methods.resolve(run.method)
    except VisitorError:
        return None
    return {"method": run.method, "budget": run.budget}


def _circumstances(case: CaseFile, entry: zoo.Entry, recomputed: int) -> list[str]:
    """Say what else may explain a difference, and what was not looked at."""
    said, here = [], casefile.packages()
    if case.model != casefile.model_of(entry):
        said.append("It was saved with other weights of this model.")
    other = [
        f"{name} {version} (here {here[name]})"
        for name, version in case.packages.items()
        if name in here and here[name] != version
    ]
    if other:
        said.append(f"Saved with {', '.join(other)}.")
    if recomputed < 1 + len(case.runs):
        said.append(f"Only the first {recomputed} of {1 + len(case.runs)} answers were recomputed.")
    return said


def _row(difference: replay.Difference) -> dict:
    run, again = difference.stored, difference.again
    name = (
        f"{report.name_of(run.method)} · {run.budget}" if run.method != jobs.FULL else "All tokens"
    )
    return {
        "name": name,
        "change": difference.change,
        "says": difference.says,
        "stored": _values(run),
        "again": again and _values(again),
    }


def _values(run: StoredRun) -> dict:
    return {
        "text": run.text,
        "p_full": rounded(run.p_full),
        "kl": None if run.method == jobs.FULL else rounded(run.kl),
        "kept": len(run.stages[-1].kept) if run.stages else None,
    }
