"""Cases that leave the page and come back: saved as a file, opened from one and recomputed.

Wiring only. The browser reads and writes the files, so that none is left on the server; what a file
may hold is up to case_file.py, and what has changed since up to replay.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import gradio as gr

from explorer.analyses.diagnosis.diagnose import diagnosis_key
from explorer.analyses.diagnosis.evidence import things_of
from explorer.analyses.diagnosis.records import Diagnosis
from explorer.analyses.sharing import case_file, replay, report
from explorer.analyses.sharing.case_fields import CaseFile, StoredRun
from explorer.analyses.sharing.stored_effects import with_effects
from explorer.analyses.sharing.stored_inside import known_looks
from explorer.cases.generation import FULL
from explorer.cases.records import Answer
from explorer.errors import VisitorError
from explorer.media.image import Picture
from explorer.methods import catalog as method_catalog
from explorer.metrics.fidelity import agrees
from explorer.pico.data import questions
from explorer.ui import components
from explorer.ui.explore.blocks import Explore, Share
from explorer.ui.explore.open_case import CaseOpener
from explorer.ui.explore.sessions import scene_session, told
from explorer.ui.messages import SaveMessage
from explorer.ui.payloads.encoding import rounded
from explorer.ui.requests import checked, connect
from explorer.ui.session import FORGOTTEN, AppState, Session, is_forgotten
from explorer.ui.web.model_queue import ModelQueue
from explorer.vlm.catalog import Entry
from explorer.vlm.loader import default_loader

RECOMPUTED = {True: 24, False: 4}  # answers of a file; few where a model takes its time
TYPES = {"json": "application/json", "html": "text/html"}


def build() -> Share:
    """Lay out the buttons, and the place where stored and recomputed values are shown."""
    gr.HTML("<h2>This case</h2>", apply_default_css=False)
    components.html_block(
        '<div class="vt-sharing"></div>',
        "mountShare",
        {"most": case_file.MAX_BYTES},
        elem_id="vt-sharing-buttons",
    )
    return Share(
        notes=components.notes("vt-sharing-notes"),
        stored=components.html_block(
            '<div class="vt-stored" hidden></div>',
            "mountStored",
            elem_id="vt-stored",
        ),
        save=components.outbound("mountSave", "save"),
        download=components.inbound("mountDownload"),
    )


def wire(tab: Explore, app_state: AppState, model_queue: ModelQueue) -> None:
    """Connect saving; what opens a file is `open_file`."""
    share = tab.share

    def save(message: SaveMessage, session: Session) -> dict:
        if not message.meant_for(session):
            lost = {"case": message.case} | FORGOTTEN
            return {share.download: lost} if is_forgotten(session) else {}
        kind, name, text = "json", f"case-{session.id}.json", _saved(session, message, app_state)
        if message.kind == "report":
            kind, name = "html", f"report-{session.id}.html"
            text = _report(session, text, app_state)
        download = {"name": name, "type": TYPES[kind], "text": text}
        return {
            share.download: download,
            share.notes: components.lines("note", f"Saved as {name}."),
        }

    save = checked(SaveMessage, share.notes, save)
    saved = [share.download, share.notes]
    connect(share.save.save, save, [share.save, tab.session], saved, model_queue)


def _saved(session: Session, message: SaveMessage, app_state: AppState) -> str:
    """Write down the case with the answer for the method and budget on the page."""
    request, answer, cache = session.request, app_state.use_cases.answer, app_state.cache
    run = answer(request, message.method, message.budget, cache=cache)
    full = answer(request, cache=cache)
    found = _diagnosis(session, run, message.kind, app_state)
    looks = known_looks(request, [(each.method, each.budget) for each in (full, run)], cache)
    looks = with_effects(looks, request, run.method, run.budget, cache)
    return case_file.save(request, full, [run], session.truth, session.seed, found, looks)


def _diagnosis(session: Session, run: Answer, kind: str, app_state: AppState) -> Diagnosis | None:
    """Give the diagnosis that was made on the page; a report of an answer that fails asks for it.

    A large model isn't asked unbidden: its search takes minutes.
    """
    about = (run.method, run.budget, session.truth, things_of(session.seed))
    known = app_state.cache.get(diagnosis_key(session.id, *about))
    fails = not (run.agrees if session.truth is None else agrees(run.text, session.truth))
    live = default_loader().catalog.entry(session.model).live
    if known is not None or kind != "report" or not (fails and live):
        return known
    *_, found = app_state.use_cases.diagnose(session.request, *about, cache=app_state.cache)
    return found


def _report(session: Session, saved: str, app_state: AppState) -> str:
    analysis = app_state.use_cases.analyse(session.request, cache=app_state.cache)
    return report.page(case_file.load(saved), analysis.grid, session.picture.image)


def open_file(opener: CaseOpener, text: str) -> Iterator[dict]:
    """Show a stranger's case with its answers recomputed; all at once, as a page may miss a reply
    that another one follows within a frame."""
    share, app_state = opener.tab.share, opener.app_state
    yield {share.notes: components.lines("busy", "Opening the case …")}
    case = case_file.load(text)
    picture, entry = case.opened(), default_loader().catalog.entry(case.model.key)
    session = _session(case, picture)

    def recomputed() -> dict:
        replayed = app_state.use_cases.replay(case, picture, app_state.cache)
        differences = list(islice(replayed, RECOMPUTED[entry.live]))
        said = [replay.verdict(differences), *_circumstances(case, entry, len(differences))]
        return {
            share.stored: {"case": session.id, "rows": [_row(each) for each in differences]},
            share.notes: components.lines("note", *said),
        }

    yield from opener.case(session, share.notes, _shown(case), recomputed)


def _session(case: CaseFile, picture: Picture) -> Session:
    """Make the session of an opened case; a scene that can be drawn again is believed no file."""
    model, question = case.model.key, " ".join(case.question.split())
    if case.seed is not None:
        scene = scene_session(model, case.seed, question)
        if scene.picture.digest == picture.digest:
            return scene
    made = Session(model, picture, question, suggestions=tuple(questions.GENERAL_QUESTIONS))
    return told(made, case.truth or "")


def _shown(case: CaseFile) -> dict | None:
    """Name the method and budget that the page should show: those of the first stored run."""
    if not case.runs:
        return None
    run = case.runs[0]
    try:
        method_catalog.resolve(run.method)
    except VisitorError:
        return None
    return {"method": run.method, "budget": run.budget}


def _circumstances(case: CaseFile, entry: Entry, recomputed: int) -> list[str]:
    """Say what else may explain a difference, and what was not looked at."""
    said, here = [], case_file.packages()
    if case.model != case_file.model_of(entry):
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
    name = f"{report.name_of(run.method)} · {run.budget}" if run.method != FULL else "All tokens"
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
        "kl": None if run.method == FULL else rounded(run.kl),
        "kept": len(run.stages[-1].kept) if run.stages else None,
    }
