"""The tab "Debug": patches picked by hand, what an answer rests on, what broke it, scores on trial.

Layout and wiring only. Every task has a hidden component that asks and another that is told; a
ticket drops what nobody waits for any more, and a ticket without a question cancels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import gradio as gr

from explorer.analyses import api, picked
from explorer.analyses.attribution import importance, restoration
from explorer.analyses.attribution.score_evaluation import ScoreEvaluation
from explorer.errors import BadAnswer, BadBudget, VisitorError
from explorer.pico.data import scenes
from explorer.pico.data.scenes import Thing
from explorer.ui import components
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.attribution import _verdict, importance_payload, trial_payload
from explorer.ui.payloads.encoding import rounded
from explorer.ui.session import AppState, Session, ticket_of
from explorer.vlm.progress import Progress

PAUSE = 0.2  # seconds between two tellings of progress
METHODS = 40  # that one trial may be asked for
Replies = Iterator[dict]
Task = Callable[[AppState, Session, dict], Replies]


def build(desk: AppState, visit: gr.State, on_model: dict) -> None:
    """Lay out the tab and wire it. visit: what the visitor looks at in the tab "Explore"."""
    components.html_block(
        '<div class="vt-debug"></div>',
        "mountDebug",
        {"ways": importance.WAYS, "most": restoration.MAX_PATCHES},
        elem_id="vt-debug",
    )
    for name, task in TASKS.items():
        _wire(name, task, desk, visit, on_model)


def _wire(name: str, task: Task, desk: AppState, visit: gr.State, on_model: dict) -> None:
    asking = components.outbound("mountTask", "announce", "work", name=name)
    told = components.inbound("mountTaskReply", name=name)

    def announce(asked: dict, request: gr.Request) -> None:
        desk.debugging.announce(f"{request.session_hash} {name}", ticket_of(asked))

    def work(asked: dict, visit: Session, request: gr.Request) -> Replies:
        ticket, session = ticket_of(asked), f"{request.session_hash} {name}"
        if not isinstance(asked, dict) or asked.get("case") != visit.id:
            return
        if desk.debugging.stale(session, ticket):
            return
        for reply in _calmly(_sentences(task(desk, visit, asked))):
            if desk.debugging.stale(session, ticket):
                return
            if reply:
                yield {"case": visit.id, "ticket": ticket, **reply}

    quiet = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    asking.announce(announce, [asking], None, queue=False, **quiet)
    asking.work(work, [asking, visit], [told], **quiet, **on_model)


def leave(desk: AppState, session: str) -> None:
    """Forget a session that has left."""
    for name in TASKS:
        desk.debugging.forget(f"{session} {name}")


def _sentences(replies: Replies) -> Replies:
    """Say what a visitor can put right."""
    try:
        yield from replies
    except VisitorError as error:
        yield {"error": str(error), "done": True}


def _calmly(replies: Replies) -> Replies:
    """Leave out progress that comes sooner than an eye can follow; nobody waits for the first."""
    last = -PAUSE
    for reply in replies:
        now = time.monotonic()
        if reply.get("done") or reply.get("trials") or now - last > PAUSE:
            last = now
            yield reply
        else:
            yield {}  # so that a stale run is noticed


def _case(visit: Session) -> tuple:
    return visit.model, visit.picture, visit.question


def _kept(asked: dict) -> tuple[list, bool]:
    """Read the picked patches, and how their positions count: as the method's they came from."""
    method, kept = asked.get("method"), asked.get("kept")
    renumber = isinstance(method, str) and picked.renumbers(method)
    return kept if isinstance(kept, list) else [], renumber


def _picked(desk: AppState, visit: Session, asked: dict) -> Replies:
    kept, renumber = _kept(asked)
    answer = api.pick(*_case(visit), kept, desk.memory, renumber=renumber)
    things = [] if visit.seed is None else scenes.make(visit.seed).things
    boxes = [thing.box for thing in things]
    shares = api.kept_shares(*_case(visit), kept, boxes, desk.memory) if boxes else []
    yield {
        "done": True,
        "answer": answer_payload(answer, visit.truth, visit.id),
        "things": [
            {"name": _name(thing), "share": rounded(share)}
            for thing, share in zip(things, shares, strict=True)
        ],
    }


def _name(thing: Thing) -> str:
    if thing.kind == "word":
        return f"sign “{thing.name}”"
    return f"{thing.color} {thing.name}" if thing.color else thing.name


def _progress(step: Progress) -> dict:
    return {"progress": [step.done, step.total]}


def _explained(desk: AppState, visit: Session, asked: dict) -> Replies:
    target = target_of(asked.get("word"), asked.get("text"))
    for step in api.oracle(*_case(visit), target, str(asked.get("way")), desk.memory):
        if isinstance(step, Progress):
            yield _progress(step)
        else:
            yield {"done": True, "found": importance_payload(step)}


def target_of(word: object, text: object) -> importance.Target:
    """Read what is to be explained; `BadAnswer` if it is neither a word's number nor a text."""
    if text is not None and not isinstance(text, str):
        raise BadAnswer("Another answer is a text.")
    if word is not None and (isinstance(word, bool) or not isinstance(word, int)):
        raise BadAnswer("A word of the answer is named by its number.")
    return importance.Target(word=None if text is not None else word, text=text)


def _blamed(desk: AppState, visit: Session, asked: dict) -> Replies:
    kept, renumber = _kept(asked)
    wanted = visit.truth if asked.get("truth") is True else None
    for step in api.what_broke_it(*_case(visit), kept, desk.memory, renumber, wanted):
        yield _progress(step) if isinstance(step, Progress) else _verdict(step, visit)


def _tried(desk: AppState, visit: Session, asked: dict) -> Replies:
    specs, budget = asked.get("methods"), asked.get("budget")
    specs = [s for s in specs if isinstance(s, str)][:METHODS] if isinstance(specs, list) else []
    if not isinstance(budget, int):
        raise BadBudget("The budget must be a whole number.")
    trials: list[dict] = []
    for step in api.trials(*_case(visit), specs, budget, desk.memory):
        if isinstance(step, ScoreEvaluation):
            trials.append(trial_payload(step))
        else:
            yield _progress(step) | {"trials": list(trials), "budget": budget}
    yield {"done": True, "trials": trials, "budget": budget}


TASKS: dict[str, Task] = {
    "pick": _picked,
    "oracle": _explained,
    "blame": _blamed,
    "trial": _tried,
}
