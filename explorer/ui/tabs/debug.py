"""The tab "Debug": why an answer fails, and the tools to look closer at patches and scores.

Layout and wiring only. Every task is a channel of its own: what nobody waits for any more is
dropped, and a ticket that is only announced cancels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import gradio as gr

from explorer.analyses import picked
from explorer.analyses.attribution import importance, restoration
from explorer.analyses.attribution.score_evaluation import ScoreEvaluation
from explorer.analyses.attribution.target import Target
from explorer.analyses.diagnosis.evidence import name_of, things_of
from explorer.analyses.diagnosis.records import Diagnosis, StepResult
from explorer.pico.data import scenes
from explorer.ui import components
from explorer.ui.messages import Message
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.attribution import importance_payload, restoration_payload, trial_payload
from explorer.ui.payloads.diagnosis import STEPS, diagnosis_payload, step_payload
from explorer.ui.payloads.encoding import rounded
from explorer.ui.requests import beside_others, serve_request, task_channel
from explorer.ui.session import AppState, Session
from explorer.ui.tab_messages import (
    DiagnosisMessage,
    EvaluationMessage,
    ImportanceMessage,
    PickMessage,
    RestoreMessage,
)
from explorer.ui.web.model_queue import ModelQueue
from explorer.vlm.progress import Progress
from explorer.vlm.turns.current_run import place

PAUSE = 0.2  # seconds between two reports of progress
Task = Callable[[AppState, Session, Message], Iterator[dict]]


def build(app_state: AppState, session: gr.State, model_queue: ModelQueue) -> None:
    """Lay out the tab and wire it. session: what the visitor looks at in the tab "Explore"."""
    components.html_block(
        '<div class="vt-debug"></div>',
        "mountDebug",
        {"ways": importance.WAYS, "most": restoration.MAX_PATCHES, "steps": STEPS},
        elem_id="vt-debug",
    )
    for name, (kind, task) in TASKS.items():
        channel = task_channel("debug", "mountTask", name, app_state, session)
        work = beside_others(partial(_calmly, task, app_state))
        queue = model_queue if name == "pick" else model_queue.of_long_jobs
        serve_request(channel, kind, work, queue)


def _calmly(task: Task, app_state: AppState, session: Session, message: Message) -> Iterator[dict]:
    """Leave out progress that comes sooner than an eye can follow; nobody waits for the first."""
    last = -PAUSE
    for reply in task(app_state, session, message):
        now = time.monotonic()
        if reply.keys() & {"done", "trials", "steps"} or now - last > PAUSE:
            last = now
            yield reply
        else:
            yield {}  # so that a stale run is noticed


def _renumber(message: PickMessage | ImportanceMessage) -> bool:
    """Tell how positions of patches count: as for the method that they are of, or held against."""
    return message.method is not None and picked.renumbers(message.method)


def _pick(app_state: AppState, session: Session, message: PickMessage) -> Iterator[dict]:
    kept, renumber = message.kept, _renumber(message)
    answer = app_state.use_cases.answer_from_tokens(
        session.request, kept, renumber, cache=app_state.cache
    )
    things = [] if session.seed is None else scenes.make(session.seed).things
    boxes = [thing.box for thing in things]
    shares = (
        app_state.use_cases.kept_shares(session.request, kept, boxes, cache=app_state.cache)
        if boxes
        else []
    )
    yield {
        "done": True,
        "answer": answer_payload(answer, session.truth, session.id),
        "things": [
            {"name": name_of(thing), "share": rounded(share)}
            for thing, share in zip(things, shares, strict=True)
        ],
    }


def _progress(step: Progress) -> dict:
    return {"progress": [step.done, step.total]}


def _explain(app_state: AppState, session: Session, message: ImportanceMessage) -> Iterator[dict]:
    word = message.word if message.text is None else None
    target = Target(word=word, text=message.text)
    for step in app_state.use_cases.explain(
        session.request, target, message.way, _renumber(message), cache=app_state.cache
    ):
        if isinstance(step, Progress):
            yield _progress(step)
        else:
            yield {"done": True, "found": importance_payload(step)}


def _restore(app_state: AppState, session: Session, message: RestoreMessage) -> Iterator[dict]:
    target = session.truth if message.truth else None
    how = (message.kept, _renumber(message), target)
    for step in app_state.use_cases.find_restoring_patches(
        session.request, *how, cache=app_state.cache
    ):
        yield _progress(step) if isinstance(step, Progress) else restoration_payload(step, session)


def _evaluate(app_state: AppState, session: Session, message: EvaluationMessage) -> Iterator[dict]:
    budget = message.budget
    trials: list[dict] = []
    for step in app_state.use_cases.evaluate_scores(
        session.request, message.methods, budget, cache=app_state.cache
    ):
        if isinstance(step, ScoreEvaluation):
            trials.append(trial_payload(step))
        else:
            yield _progress(step) | {"trials": list(trials), "budget": budget}
    yield {"done": True, "trials": trials, "budget": budget}


def _diagnose(app_state: AppState, session: Session, message: DiagnosisMessage) -> Iterator[dict]:
    """Tell each step as it begins, goes on and ends, with the place in the queue at that moment."""
    steps: list[dict] = []
    about = (message.method, message.budget, session.truth, things_of(session.seed))
    for event in app_state.use_cases.diagnose(session.request, *about, cache=app_state.cache):
        if isinstance(event, StepResult):
            steps.append(step_payload(event))
            yield {"steps": list(steps)}
        elif isinstance(event, Diagnosis):
            yield {"done": True, "found": diagnosis_payload(event)}
        else:
            begins = {} if event.total else {"steps": list(steps)}
            yield _progress(event) | {"at": event.stage, "place": list(place())} | begins


TASKS: dict[str, tuple[type[Message], Task]] = {
    "pick": (PickMessage, _pick),
    "attribution": (ImportanceMessage, _explain),
    "restoration": (RestoreMessage, _restore),
    "diagnosis": (DiagnosisMessage, _diagnose),
    "trial": (EvaluationMessage, _evaluate),
}
